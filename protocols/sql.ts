/** A statement without what it is about: literals are `?`, comments and needless space are gone. */
export interface NormalisedSql {
  /** At most `maximumTextLength` characters; `…` at the end where more was cut. */
  readonly text: string
  /** The first verb in upper case; '' where there is none. */
  readonly operation: string
  /** Verbs and what they are about, in order: `INSERT orders SELECT carts` (at most 255 characters). */
  readonly summary: string
  /** The one table; '' where there are several or none. */
  readonly collection: string
}

const maximumTextLength = 2048
const maximumSummaryLength = 255

/**
 * One pass over the text. By OpenTelemetry's conventions for `db.query.text` and `db.query.summary`. In MySQL's syntax
 * `"…"` is a string; strings, numbers, hexadecimal and bit literals are replaced; an unended one is to the end.
 */
export function normaliseSql(sql: string): NormalisedSql {
  const tokens = createTokens(sql)
  const summary = createSummary()
  let text = ''
  let previous = ''
  for (let token = tokens.next(); token !== undefined; token = tokens.next()) {
    if (text.length >= maximumTextLength) {
      text = `${text.slice(0, maximumTextLength)}…`
      break
    }
    if (needsSpace(previous, token, tokens.hadSpace())) text += ' '
    text += token
    summary.add(token)
    previous = token
  }
  return { text, ...summary.result() }
}

/**
 * The last comments of a statement, with their delimiters and in order: what stands in a string or a name is none, nor are MySQL's
 * `/*!` and `/*+`, which are code. Reads all of it, because commenters append.
 */
export function commentsOf(sql: string): string[] {
  if (!sql.includes('/*')) return []
  const comments: string[] = []
  tokenPattern.lastIndex = 0
  for (let match = tokenPattern.exec(sql); match !== null; match = tokenPattern.exec(sql)) {
    const [text] = match
    if (/^\/\*(?!M?!|\+)/.test(text)) comments.push(text)
    if (comments.length > mostComments) comments.shift()
    if (tokenPattern.lastIndex >= sql.length) break
  }
  return comments
}

const mostComments = 8

/** Space stays where there was some, but not inside brackets and before commas. */
function needsSpace(previous: string, token: string, hadSpace: boolean): boolean {
  if (previous === '' || !hadSpace) return false
  return previous !== '(' && token !== ')' && token !== ',' && token !== ';'
}

interface Tokens {
  next(): string | undefined
  /** There was space or a comment before the last token. */
  hadSpace(): boolean
}

// In order: space and comments; strings (with prefix _utf8, x, b, n); back-ticked names; numbers; words; anything else.
// Each alternative starts differently and none nests, so matching is linear; unended ones reach to the end.
const tokenPattern =
  /(\s+|--(?=[\s]|$)[^\n]*|#[^\n]*|\/\*[^]*?(?:\*\/|$))|((?:_[a-z0-9]+\s*|[xbn](?='))?(?:'(?:[^'\\]|\\[^]|'')*(?:'|\\?$)|"(?:[^"\\]|\\[^]|"")*(?:"|\\?$)))|(`(?:[^`]|``)*(?:`|$))|((?:0x[0-9a-f]+|0b[01]+|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)(?![\w$]))|([\w$@\u0080-\uffff]+)|[^]/iy

function createTokens(sql: string): Tokens {
  let at = 0
  let hadSpace = false
  return {
    next() {
      hadSpace = false
      for (;;) {
        if (at >= sql.length) return undefined
        tokenPattern.lastIndex = at
        const match = tokenPattern.exec(sql)
        if (match === null) return undefined
        at = tokenPattern.lastIndex
        if (match[1] !== undefined) hadSpace = true
        else return match[2] !== undefined || match[4] !== undefined ? '?' : match[0]
      }
    },
    hadSpace: () => hadSpace,
  }
}

const verbs = new Set([
  'ALTER',
  'ANALYZE',
  'BEGIN',
  'CALL',
  'COMMIT',
  'CREATE',
  'DELETE',
  'DESC',
  'DESCRIBE',
  'DO',
  'DROP',
  'EXECUTE',
  'EXPLAIN',
  'FLUSH',
  'GRANT',
  'INSERT',
  'KILL',
  'LOAD',
  'LOCK',
  'MERGE',
  'OPTIMIZE',
  'PREPARE',
  'RELEASE',
  'RENAME',
  'REPLACE',
  'REVOKE',
  'ROLLBACK',
  'SAVEPOINT',
  'SELECT',
  'SET',
  'SHOW',
  'START',
  'TRUNCATE',
  'UNLOCK',
  'UPDATE',
  'USE',
  'VALUES',
  'WITH',
  'XA',
])

export function isSqlVerb(word: string): boolean {
  return verbs.has(word.toUpperCase())
}

/** After these words (and perhaps modifiers) the name of a table comes. */
const tableBefore = new Set([
  'FROM',
  'JOIN',
  'INTO',
  'UPDATE',
  'TABLE',
  'CALL',
  'USE',
  'TRUNCATE',
  'DATABASE',
])
const modifiers = new Set([
  'IF',
  'NOT',
  'EXISTS',
  'IGNORE',
  'LOW_PRIORITY',
  'DELAYED',
  'HIGH_PRIORITY',
  'QUICK',
  'ONLY',
  'LATERAL',
  'TEMPORARY',
  'TABLE',
])

interface Summary {
  add(token: string): void
  result(): { operation: string; summary: string; collection: string }
}

function createSummary(): Summary {
  let operation = ''
  let summary = ''
  const tables = new Set<string>()
  /** 'table': a name is due. 'list': after a name of a FROM list, where a comma brings another. */
  let state: 'none' | 'table' | 'dot' | 'list' = 'none'
  let name = ''

  function add(token: string): void {
    const upper = token.toUpperCase()
    if (state === 'dot') {
      const isMore = token === '.' || (name.endsWith('.') && isName(token))
      if (isMore) {
        name += unquote(token)
        return
      }
      endName(upper)
    }
    if (state === 'table' && isName(token) && !modifiers.has(upper) && upper !== 'SELECT') {
      name = unquote(token)
      state = 'dot'
      return
    }
    if (state === 'table' && (token === '(' || upper === 'SELECT')) state = 'none'
    else if (state === 'list' && token === ',') state = 'table'
    if (operation === '' && verbs.has(upper)) {
      operation = upper
      append(upper)
    } else if (upper === 'SELECT' && operation !== '') append(upper)
    if (tableBefore.has(upper) && !(upper === 'UPDATE' && operation !== 'UPDATE')) state = 'table'
    else if (state === 'list' && endsFromList.has(upper)) state = 'none'
  }

  function endName(next: string): void {
    tables.add(name)
    append(name)
    name = ''
    state = next === '(' ? 'none' : 'list'
  }

  function append(word: string): void {
    if (summary.length + 1 + word.length > maximumSummaryLength) return
    summary += summary === '' ? word : ` ${word}`
  }

  return {
    add,
    result() {
      if (state === 'dot') endName('')
      const [first = ''] = tables
      const isTable = operation !== 'USE' && operation !== 'CALL'
      return { operation, summary, collection: isTable && tables.size === 1 ? first : '' }
    },
  }
}

const endsFromList = new Set([
  'WHERE',
  'SET',
  'ON',
  'USING',
  'GROUP',
  'ORDER',
  'HAVING',
  'LIMIT',
  'VALUES',
  '(',
  ')',
])

function isName(token: string): boolean {
  return /^[\w$`\u0080-\uffff]/.test(token)
}

function unquote(token: string): string {
  return token.startsWith('`') ? token.slice(1).replace(/`$/, '').replaceAll('``', '`') : token
}
