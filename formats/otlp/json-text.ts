import { readText } from '../../model/wire.ts'

/**
 * A place in JSON text (RFC 8259) that is UTF-8. The functions below move it on and throw JsonSyntaxError where the text is not
 * JSON. Strings are given as ranges of the bytes, so that most are never made.
 */
export interface JsonCursor {
  readonly bytes: Uint8Array
  at: number
  /** Where the last string or number lies, without quotes. */
  from: number
  to: number
  /** The last string, if it has escapes in it. */
  unescaped: string | undefined
}

export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

/** Characters that say what follows. */
export const ascii = {
  quote: 0x22,
  comma: 0x2c,
  minus: 0x2d,
  colon: 0x3a,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  f: 0x66,
  n: 0x6e,
  t: 0x74,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const

/** A cursor at the beginning, behind a byte order mark if there is one. */
export function jsonCursor(bytes: Uint8Array): JsonCursor {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return { bytes, at: hasMark ? 3 : 0, from: 0, to: 0, unescaped: undefined }
}

/** Moves to the next character that is no white space and gives it; -1 at the end. */
export function peek(cursor: JsonCursor): number {
  const { bytes } = cursor
  for (;;) {
    const byte = bytes[cursor.at]
    if (byte === 32 || byte === 10 || byte === 13 || byte === 9) cursor.at++
    else return byte ?? -1
  }
}

/** Passes one character. */
function expect(cursor: JsonCursor, wanted: number): void {
  if (peek(cursor) !== wanted) throw unexpected(cursor, `'${String.fromCharCode(wanted)}'`)
  cursor.at++
}

/** Calls `member` with each key, the cursor before its value, which `member` must pass. */
export function readObject(cursor: JsonCursor, member: (key: string) => void): void {
  expect(cursor, ascii.openBrace)
  if (peek(cursor) === ascii.closeBrace) {
    cursor.at++
    return
  }
  for (;;) {
    if (peek(cursor) !== ascii.quote) throw unexpected(cursor, 'a key')
    readString(cursor)
    const key = cursor.unescaped ?? readText(cursor.bytes, cursor.from, cursor.to)
    expect(cursor, ascii.colon)
    member(key)
    if (peek(cursor) === ascii.comma) cursor.at++
    else {
      expect(cursor, ascii.closeBrace)
      return
    }
  }
}

/** Calls `element` with the cursor before each element, which `element` must pass. */
export function readArray(cursor: JsonCursor, element: () => void): void {
  expect(cursor, ascii.openBracket)
  if (peek(cursor) === ascii.closeBracket) {
    cursor.at++
    return
  }
  for (;;) {
    element()
    if (peek(cursor) === ascii.comma) cursor.at++
    else {
      expect(cursor, ascii.closeBracket)
      return
    }
  }
}

/** Passes a string at whose opening quote the cursor stands. */
export function readString(cursor: JsonCursor): void {
  const { bytes } = cursor
  cursor.unescaped = undefined
  cursor.from = cursor.at + 1
  let hasEscapes = false
  for (let at = cursor.from; ; at++) {
    const byte = bytes[at]!
    if (byte === ascii.quote) {
      cursor.to = at
      cursor.at = at + 1
      if (hasEscapes) cursor.unescaped = unescape(cursor)
      return
    }
    if (byte === ascii.backslash) {
      hasEscapes = true
      at++
    } else if (!(byte >= 32)) throw unexpectedAt(bytes, at, 'a closed string')
  }
}

/** What the cursor passed last, as text. */
export function textOf(cursor: JsonCursor): string {
  return cursor.unescaped ?? readText(cursor.bytes, cursor.from, cursor.to)
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

function unescape({ bytes, from, to }: JsonCursor): string {
  return readText(bytes, from, to).replaceAll(
    /\\(u[\dA-Fa-f]{4}|[^])?/g,
    (_all, escape: string | undefined) => {
      if (escape?.length === 5) return String.fromCharCode(Number.parseInt(escape.slice(1), 16))
      const plain = escape === undefined ? undefined : escapes[escape]
      if (plain === undefined) throw unexpectedAt(bytes, from, 'a string with the escapes of JSON')
      return plain
    },
  )
}

/** Passes a number. */
export function readNumber(cursor: JsonCursor): void {
  const { bytes } = cursor
  let { at } = cursor
  if (bytes[at] === ascii.minus) at++
  if (bytes[at] === 0x30) at++
  else at = digits(cursor, at)
  if (bytes[at] === 0x2e) at = digits(cursor, at + 1)
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    at++
    if (bytes[at] === 0x2b || bytes[at] === ascii.minus) at++
    at = digits(cursor, at)
  }
  cursor.unescaped = undefined
  cursor.from = cursor.at
  cursor.to = at
  cursor.at = at
}

/** Where the digits from `at` on end; there must be one. */
function digits(cursor: JsonCursor, at: number): number {
  const start = at
  for (;;) {
    const byte = cursor.bytes[at]!
    if (!(byte >= 0x30 && byte <= 0x39)) break
    at++
  }
  if (at === start) throw unexpected(cursor, 'a value')
  return at
}

const words = ['true', 'false', 'null']

/** Passes `true`, `false` or `null`. */
export function readWord(cursor: JsonCursor): void {
  const { bytes, at } = cursor
  const word = words.find(each => readText(bytes, at, Math.min(bytes.length, at + each.length)) === each)
  if (word === undefined) throw unexpected(cursor, 'a value')
  cursor.unescaped = undefined
  cursor.from = at
  cursor.to = at + word.length
  cursor.at = cursor.to
}

/** Passes a value of any kind. `depth`: how many more levels may open. */
export function skipJson(cursor: JsonCursor, depth = 500): void {
  if (depth === 0) throw new JsonSyntaxError('the JSON is nested more than 500 deep')
  switch (peek(cursor)) {
    case ascii.openBrace:
      readObject(cursor, () => skipJson(cursor, depth - 1))
      return
    case ascii.openBracket:
      readArray(cursor, () => skipJson(cursor, depth - 1))
      return
    case ascii.quote:
      readString(cursor)
      return
    case ascii.t:
    case ascii.f:
    case ascii.n:
      readWord(cursor)
      return
    default:
      readNumber(cursor)
  }
}

/** Nothing but white space may follow. */
export function expectEnd(cursor: JsonCursor): void {
  if (peek(cursor) !== -1) throw unexpected(cursor, 'the end')
}

export function unexpected(cursor: JsonCursor, wanted: string): JsonSyntaxError {
  return unexpectedAt(cursor.bytes, cursor.at, wanted)
}

function unexpectedAt(bytes: Uint8Array, at: number, wanted: string): JsonSyntaxError {
  const found =
    at < bytes.length ? `'${readText(bytes, at, Math.min(bytes.length, at + 12))}'` : 'the end of the text'
  return new JsonSyntaxError(`expected ${wanted} at byte ${at}, found ${found}`)
}
