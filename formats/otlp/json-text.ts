/** A place in JSON text (RFC 8259). The functions below move it on and throw JsonSyntaxError where the text is not JSON. */
export interface JsonCursor {
  readonly text: string
  at: number
}

export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

const quote = 34
const backslash = 92

/** Moves to the next character that is no white space and gives it; '' at the end. */
export function peek(cursor: JsonCursor): string {
  const { text } = cursor
  for (;;) {
    const code = text.charCodeAt(cursor.at)
    if (code === 32 || code === 10 || code === 13 || code === 9) cursor.at++
    else return text.charAt(cursor.at)
  }
}

/** Passes one character. */
export function expect(cursor: JsonCursor, wanted: string): void {
  if (peek(cursor) !== wanted) throw unexpected(cursor, `'${wanted}'`)
  cursor.at++
}

/** Calls `member` with each key, the cursor before its value, which `member` must pass. */
export function readObject(cursor: JsonCursor, member: (key: string) => void): void {
  expect(cursor, '{')
  if (peek(cursor) === '}') {
    cursor.at++
    return
  }
  for (;;) {
    if (peek(cursor) !== '"') throw unexpected(cursor, 'a key')
    const key = readString(cursor)
    expect(cursor, ':')
    member(key)
    if (peek(cursor) === ',') cursor.at++
    else {
      expect(cursor, '}')
      return
    }
  }
}

/** Calls `element` with the cursor before each element, which `element` must pass. */
export function readArray(cursor: JsonCursor, element: () => void): void {
  expect(cursor, '[')
  if (peek(cursor) === ']') {
    cursor.at++
    return
  }
  for (;;) {
    element()
    if (peek(cursor) === ',') cursor.at++
    else {
      expect(cursor, ']')
      return
    }
  }
}

/** The cursor stands at the opening quote. */
export function readString(cursor: JsonCursor): string {
  const { text } = cursor
  const start = cursor.at + 1
  for (let at = start; ; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      cursor.at = at + 1
      return text.slice(start, at)
    }
    if (code === backslash) return readEscaped(cursor, start, at)
    if (!(code >= 32)) throw unexpectedAt(text, at, 'a closed string')
  }
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

function readEscaped(cursor: JsonCursor, start: number, firstEscape: number): string {
  const { text } = cursor
  const pieces = [text.slice(start, firstEscape)]
  let runStart = firstEscape
  for (let at = firstEscape; ;) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      cursor.at = at + 1
      pieces.push(text.slice(runStart, at))
      return pieces.join('')
    }
    if (!(code >= 32)) throw unexpectedAt(text, at, 'a closed string')
    if (code !== backslash) {
      at++
      continue
    }
    pieces.push(text.slice(runStart, at))
    const letter = text.charAt(at + 1)
    if (letter === 'u') {
      const digits = text.slice(at + 2, at + 6)
      if (!/^[\dA-Fa-f]{4}$/.test(digits)) throw unexpectedAt(text, at, 'four hex digits after \\u')
      pieces.push(String.fromCharCode(Number.parseInt(digits, 16)))
      at += 6
    } else {
      const plain = escapes[letter]
      if (plain === undefined) throw unexpectedAt(text, at, 'an escape of JSON')
      pieces.push(plain)
      at += 2
    }
    runStart = at
  }
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const wordPattern = /true|false|null/y

/** The text of a number. */
export function readNumber(cursor: JsonCursor): string {
  return readPattern(cursor, numberPattern)
}

/** `true`, `false` or `null`. */
export function readWord(cursor: JsonCursor): string {
  return readPattern(cursor, wordPattern)
}

function readPattern(cursor: JsonCursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const [found] = pattern.exec(cursor.text) ?? []
  if (found === undefined) throw unexpected(cursor, 'a value')
  cursor.at += found.length
  return found
}

/** Passes a value of any kind. `depth`: how many more levels may open. */
export function skipJson(cursor: JsonCursor, depth = 500): void {
  if (depth === 0) throw new JsonSyntaxError('the JSON is nested more than 500 deep')
  switch (peek(cursor)) {
    case '{':
      readObject(cursor, () => skipJson(cursor, depth - 1))
      return
    case '[':
      readArray(cursor, () => skipJson(cursor, depth - 1))
      return
    case '"':
      readString(cursor)
      return
    case 't':
    case 'f':
    case 'n':
      readWord(cursor)
      return
    default:
      readNumber(cursor)
  }
}

/** Nothing but white space may follow. */
export function expectEnd(cursor: JsonCursor): void {
  if (peek(cursor) !== '') throw unexpected(cursor, 'the end')
}

export function unexpected(cursor: JsonCursor, wanted: string): JsonSyntaxError {
  return unexpectedAt(cursor.text, cursor.at, wanted)
}

function unexpectedAt(text: string, at: number, wanted: string): JsonSyntaxError {
  const found = at < text.length ? `'${text.slice(at, at + 12)}'` : 'the end of the text'
  return new JsonSyntaxError(`expected ${wanted} at character ${at}, found ${found}`)
}
