import type { Chapter } from '../../test/conformance/sentence.ts'
import { exporterChapters, serverChapters } from '../../test/conformance/sentences.ts'

/** docs/reference/otlp-conformance.md: what the specifications ask, and what shows that it is so. */
export function otlpConformancePage(): string {
  const all = [...serverChapters, ...exporterChapters].flatMap(({ sentences }) => sentences)
  const checks = all.reduce((sum, sentence) => sum + Object.keys(sentence.checks).length, 0)
  return `# OTLP conformance

Every sentence of the OTLP 1.11 specification that asks something of a server or a client, and of the documents under it (gRPC,
HTTP, JSON, protobuf, gzip), in our own words, with the checks that \`test/conformance\` makes of it: ${all.length} sentences, ${checks} checks. They
talk to a running \`fullspan run\` through sockets, as any sender or back end would. \`make test\` runs them; one alone is the subtest of its name in
\`node dist/test/conformance/conformance.test.js\`.

## The receiver

${serverChapters.map(chapterText).join('\n')}
## The exporters

${exporterChapters.map(chapterText).join('\n')}`
}

function chapterText({ source, sentences }: Chapter<never>): string {
  const rows = sentences.map(({ id, level, says, checks }) => {
    const names = Object.keys(checks).map(escaped).join('; ')
    return `| \`${id}\` | ${level} | ${escaped(says)} | ${names} |`
  })
  return `### ${source}\n\n| test | level | sentence | checks |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

/** As the cell of a table. */
function escaped(text: string): string {
  return text.replaceAll(/[\\|<>*_`[\]]/g, String.raw`\$&`)
}
