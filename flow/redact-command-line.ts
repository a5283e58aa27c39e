const hidden = '[REDACTED]'

/** Words in the name of an option or a variable whose value is a secret. */
const secretName =
  '[\\w.-]*(?:passw(?:or)?d|passphrase|passwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credential|requirepass|masterauth|pwd)[\\w.-]*'

const rules: readonly [RegExp, string][] = [
  // users and passwords in URLs, and DSNs such as shop:secret@tcp(db:3306)/shop
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^/@\s]+@/gi, `$1${hidden}@`],
  [/(^|[\s=])[^\s:@/=]+:[^\s@/]+@(?=tcp\(|unix\(|[\w.-]+[:/])/gi, `$1${hidden}@`],
  // Authorization: Bearer …, and the words alone
  [/\b(bearer|basic)\s+[^\s'"]+/gi, `$1 ${hidden}`],
  [
    /\b(authorization|proxy-authorization|cookie|x-api-key)(\s*[:=]\s*)(?!bearer|basic)[^\s'"]+/gi,
    `$1$2${hidden}`,
  ],
  // --password=x, PASSWORD=x, ?token=x, "secret": "x", --password x
  [new RegExp(`(${secretName})(["']?\\s*[=:]\\s*["']?)(?!\\[REDACTED)[^\\s&"',;]+`, 'gi'), `$1$2${hidden}`],
  [new RegExp(`((?:^|\\s)--?${secretName})\\s+(?!-)[^\\s]+`, 'gi'), `$1 ${hidden}`],
  // curl -u user:password
  [/((?:^|\s)(?:-u|--user|--proxy-user))(?:\s+|=)(?!-)[^\s:]+:[^\s]+/g, `$1 ${hidden}`],
  // tokens known by their shape: JWT, GitHub, AWS, Slack, and the like
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, hidden],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|sk_live_|rk_live_)[\w-]{8,}/g, hidden],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{12,}/g, hidden],
]

/** Database clients take a password right behind -p, redis-cli one behind -a. */
const clients: readonly [RegExp, RegExp, string][] = [
  [/^\S*(?:mysql|mariadb)\S*\s/, /(\s-p)(?=\S)\S+/g, `$1${hidden}`],
  [/^\S*(?:sshpass|mongo(?:sh)?|sqlplus)\s/, /(\s-p)\s*(?!-)\S+/g, `$1 ${hidden}`],
  [/^\S*redis-cli\s/, /(\s-a)\s+\S+/g, `$1 ${hidden}`],
]

/**
 * The command line without what looks like a secret: passwords and tokens in options, variables, URLs and headers, and those known
 * by their shape. Arguments are joined by spaces, so a secret with a space in it leaves its second word.
 */
export function redactCommandLine(commandLine: string): string {
  let text = commandLine
  for (const [program, pattern, replacement] of clients) {
    if (program.test(commandLine)) text = text.replace(pattern, replacement)
  }
  for (const [pattern, replacement] of rules) text = text.replace(pattern, replacement)
  return text
}
