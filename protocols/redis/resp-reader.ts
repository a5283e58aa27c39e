/** One whole RESP value as far as it matters. https://redis.io/docs/latest/develop/reference/protocol-spec/ */
export interface RespValue {
  /** First byte as a character: `+ - : $ * > % …`, or `i` for an inline command. */
  readonly type: string
  /** Text of a simple value, without its type. */
  readonly line: string
  /** First strings of it: of an aggregate's own elements, or the bulk string itself. At most 64 bytes of each. */
  readonly words: readonly string[]
  /** Elements of an aggregate. */
  readonly count: number
}

/** Walks over RESP2 and RESP3 values of one end. Lines must have been captured, bulk strings not. */
export interface RespReader {
  /** Takes bytes from `at`; returns the position where the value ended, -1 while it goes on, -2 when the framing is lost. */
  feed(bytes: Uint8Array, length: number, at: number): number
  value(): RespValue
  /** Forgets what it was in. */
  reset(): void
}

export const goesOn = -1
export const isLost = -2

const maximumWords = 3
const maximumWordBytes = 64
const maximumLineBytes = 512
const maximumDepth = 32
const maximumLength = 2 ** 40

interface Level {
  remaining: number
  /** Attributes (RESP3 `|`) stand before the value that they belong to: they are no element. */
  readonly isAttribute: boolean
}

/** `allowsInline`: a client's line that is no RESP type is an inline command. */
export function createRespReader(allowsInline: boolean): RespReader {
  const levels: Level[] = []
  let line = ''
  let lineBytes = 0
  let bulkRemaining = 0
  let word: string | undefined
  let value = emptyValue()

  function feed(bytes: Uint8Array, length: number, from: number): number {
    let at = from
    while (at < length) {
      let isWhole = false
      if (bulkRemaining > 0) {
        const step = Math.min(bulkRemaining, length - at)
        if (word !== undefined) word = takeWord(word, bytes, at, step)
        bulkRemaining -= step
        at += step
        if (bulkRemaining > 0) return goesOn
        if (word !== undefined) value.words.push(word)
        isWhole = endElement()
      } else {
        if (at >= bytes.length) return isLost
        const newline = bytes.indexOf(10, at)
        const bulkLength = lineBytes === 0 ? readBulkLength(bytes, at, newline) : -1
        if (bulkLength !== -1) {
          if (levels.length === 0) value.type = '$'
          startBulk(bulkLength)
          at = newline + 1
          continue
        }
        takeLine(bytes, at, newline === -1 ? bytes.length : newline)
        if (newline === -1) return bytes.length < length ? isLost : goesOn
        at = newline + 1
        const outcome = endLine()
        if (outcome === 'lost') return isLost
        isWhole = outcome === 'whole'
      }
      if (isWhole) return at
    }
    return goesOn
  }

  function takeLine(bytes: Uint8Array, from: number, to: number): void {
    const room = Math.min(to - from, maximumLineBytes - lineBytes)
    lineBytes += to - from
    if (room > 0) line += text(bytes, from, from + room)
  }

  /** Up to the CRLF behind the string. */
  function takeWord(soFar: string, bytes: Uint8Array, at: number, step: number): string {
    const room = Math.min(step, bulkRemaining - 2, maximumWordBytes - soFar.length, bytes.length - at)
    return room > 0 ? soFar + text(bytes, at, at + room) : soFar
  }

  function endLine(): 'whole' | 'more' | 'lost' {
    const whole = line.endsWith('\r') ? line.slice(0, -1) : line
    line = ''
    lineBytes = 0
    const type = whole.charAt(0)
    const rest = whole.slice(1)
    const isTop = levels.length === 0
    if (isTop) value.type = type
    if (simpleTypes.includes(type) && type !== '') {
      if (isTop) value.line = rest
      else if (levels.length === 1 && value.words.length < maximumWords)
        value.words.push(rest.slice(0, maximumWordBytes))
      return endElement() ? 'whole' : 'more'
    }
    if (isTop && allowsInline && type !== '*') return endInline(whole)
    const count = parseCount(rest)
    if (count === undefined) return 'lost'
    if (bulkTypes.includes(type) && type !== '') return startBulk(count)
    return startAggregate(type, count, isTop)
  }

  function endInline(whole: string): 'whole' | 'more' {
    const words = whole.split(/[ \t]+/).filter(part => part !== '')
    value.type = 'i'
    value.count = words.length
    value.words.push(...words.slice(0, maximumWords))
    return 'whole'
  }

  function startBulk(count: number): 'whole' | 'more' {
    if (count === -1) return endElement() ? 'whole' : 'more'
    bulkRemaining = count + 2
    word = levels.length <= 1 && value.words.length < maximumWords ? '' : undefined
    return 'more'
  }

  function startAggregate(type: string, count: number, isTop: boolean): 'whole' | 'more' | 'lost' {
    if (!aggregateTypes.includes(type) || type === '' || levels.length >= maximumDepth) return 'lost'
    if (isTop) value.count = Math.max(count, 0)
    const isAttribute = type === '|'
    const elements = isAttribute || type === '%' ? count * 2 : count
    if (elements > 0) levels.push({ remaining: elements, isAttribute })
    else if (!isAttribute) return endElement() ? 'whole' : 'more'
    return 'more'
  }

  /** An element is complete; with it perhaps those around it. true: all of them. */
  function endElement(): boolean {
    word = undefined
    for (;;) {
      const level = levels.at(-1)
      if (level === undefined) return true
      if (--level.remaining > 0) return false
      levels.pop()
      if (level.isAttribute) {
        if (levels.length === 0) value = emptyValue()
        return false
      }
    }
  }

  return {
    feed,
    value: () => value,
    reset() {
      levels.length = 0
      line = ''
      lineBytes = 0
      bulkRemaining = 0
      word = undefined
      value = emptyValue()
    },
  }
}

const simpleTypes = '+-:_#,('
const bulkTypes = '$=!'
const aggregateTypes = '*~>%|'

/** Most lines are `$12\r\n`: no text is made of them. -1: not such a line, or not whole. */
function readBulkLength(bytes: Uint8Array, at: number, newline: number): number {
  if (bytes[at] !== 36 || newline - at < 3 || newline - at > 11 || bytes[newline - 1] !== 13) return -1
  let length = 0
  for (let index = at + 1; index < newline - 1; index++) {
    const digit = bytes[index]! - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length
}

function emptyValue(): { type: string; line: string; words: string[]; count: number } {
  return { type: '', line: '', words: [], count: 0 }
}

function parseCount(text: string): number | undefined {
  if (!/^(?:-1|\d{1,13})$/.test(text)) return undefined
  const count = Number(text)
  return count > maximumLength ? undefined : count
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')
}
