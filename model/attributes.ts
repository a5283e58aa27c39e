import {
  copyBytes,
  type Cursor,
  enter,
  readDouble,
  readInteger,
  readText,
  readVarint,
  skipValue,
  type Writer,
  wireBytes,
  wireFixed64,
  wireVarint,
} from './wire.ts'

/**
 * A value of OTLP's AnyValue. Integers are numbers where they are safe, else bigint. Written back, a safe integer becomes
 * `intValue`, another number `doubleValue`. `null` is the empty value.
 */
export type AttributeValue =
  | string
  | boolean
  | number
  | bigint
  | Uint8Array
  | null
  | readonly AttributeValue[]
  | { readonly [key: string]: AttributeValue }

export type Attributes = ReadonlyMap<string, AttributeValue>

/** Reads all KeyValue fields of that number in a message. Where a key stands twice the first one counts. */
export function readAttributes(cursor: Cursor, field: number): Attributes {
  const map = new Map<string, AttributeValue>()
  const begin = cursor.at
  let count = 0
  forEachKeyValue(cursor, field, (key, value) => {
    map.set(key, value)
    count++
  })
  if (map.size === count) return map
  cursor.at = begin
  map.clear()
  forEachKeyValue(cursor, field, (key, value) => {
    if (!map.has(key)) map.set(key, value)
  })
  return map
}

function forEachKeyValue(
  cursor: Cursor,
  field: number,
  visit: (key: string, value: AttributeValue) => void,
): void {
  const wanted = field * 8 + wireBytes
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === wanted) readKeyValue(cursor, visit)
    else skipValue(cursor, tag & 7)
  }
}

/** Reads the KeyValue message (opentelemetry/proto/common/v1: key = 1, value = 2) whose length stands at the cursor. */
function readKeyValue(cursor: Cursor, visit: (key: string, value: AttributeValue) => void): void {
  const { bytes, at } = cursor
  const textAt = usualTextAt(bytes, at)
  if (textAt > 0) {
    cursor.at = at + 1 + bytes[at]!
    visit(readText(bytes, at + 3, textAt - 4), readText(bytes, textAt, cursor.at))
    return
  }
  const outer = enter(cursor)
  let key = ''
  let value: AttributeValue = null
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) key = readString(cursor)
    else if (tag === valueTag) value = readAnyValue(cursor, value)
    else skipValue(cursor, tag & 7)
  }
  cursor.end = outer
  visit(key, value)
}

/** The KeyValue message whose length stands at `at`. */
export function readKeyValueAt(bytes: Uint8Array, at: number): { key: string; value: AttributeValue } {
  const found: { key: string; value: AttributeValue } = { key: '', value: null }
  readKeyValue({ bytes, at, end: bytes.length }, (key, value) => {
    found.key = key
    found.value = value
  })
  return found
}

/**
 * Most KeyValues are written so: length, key, then a value that is nothing but text, all lengths in one byte. For one that begins
 * so at `at` and fits together, where the text begins; else 0. Saves a quarter of the time that reading costs, half of checking.
 */
export function usualTextAt(bytes: Uint8Array, at: number): number {
  const length = bytes[at]!
  const keyLength = bytes[at + 2]!
  const valueAt = at + 3 + keyLength
  const isUsual =
    length < 128 &&
    bytes[at + 1] === keyTag &&
    keyLength < length - 5 &&
    bytes[valueAt] === valueTag &&
    bytes[valueAt + 1] === length - keyLength - 4 &&
    bytes[valueAt + 2] === textTag &&
    bytes[valueAt + 3] === length - keyLength - 6
  return isUsual ? valueAt + 4 : 0
}

const keyTag = (1 << 3) | wireBytes
const valueTag = (2 << 3) | wireBytes
/** AnyValue.string_value */
const textTag = (1 << 3) | wireBytes

/** Reads the text whose length stands at the cursor. */
export function readString(cursor: Cursor): string {
  const length = readVarint(cursor)
  const from = cursor.at
  cursor.at = from + length
  return readText(cursor.bytes, from, cursor.at)
}

/** A cursor over the length-delimited value at the cursor, which is moved past it. */
export function nested(cursor: Cursor): Cursor {
  const length = readVarint(cursor)
  const at = cursor.at
  cursor.at = at + length
  return { bytes: cursor.bytes, at, end: at + length }
}

/**
 * Reads the AnyValue message whose length stands at the cursor: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7. The
 * last one set wins; `before` is what an earlier part of a split message said, which lists go on with.
 */
function readAnyValue(cursor: Cursor, before: AttributeValue): AttributeValue {
  const outer = enter(cursor)
  let value = before
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    switch (tag) {
      case textTag:
        value = readString(cursor)
        break
      case (2 << 3) | wireVarint:
        value = readInteger(cursor) !== 0
        break
      case (3 << 3) | wireVarint:
        value = readInteger(cursor)
        break
      case (4 << 3) | wireFixed64:
        value = readDouble(cursor.bytes, cursor.at)
        cursor.at += 8
        break
      default:
        value = readLargeValue(cursor, tag, value)
    }
  }
  cursor.end = outer
  return value
}

/** The kinds of AnyValue that contain others or bytes. */
function readLargeValue(cursor: Cursor, tag: number, before: AttributeValue): AttributeValue {
  switch (tag) {
    case (5 << 3) | wireBytes: {
      const values = readArray(cursor)
      return isArray(before) ? [...before, ...values] : values
    }
    case (6 << 3) | wireBytes: {
      const pairs = readKeyValueList(cursor)
      return isObject(before) ? { ...before, ...pairs } : pairs
    }
    case (7 << 3) | wireBytes: {
      const { bytes, at, end } = nested(cursor)
      return copyBytes(bytes, at, end)
    }
    case (8 << 3) | wireVarint: // string_value_strindex: of profiles only, elsewhere as if empty
      skipValue(cursor, wireVarint)
      return null
    default:
      skipValue(cursor, tag & 7)
      return before
  }
}

function readArray(cursor: Cursor): AttributeValue[] {
  const values: AttributeValue[] = []
  const outer = enter(cursor)
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) values.push(readAnyValue(cursor, null))
    else skipValue(cursor, tag & 7)
  }
  cursor.end = outer
  return values
}

function readKeyValueList(cursor: Cursor): { [key: string]: AttributeValue } {
  const outer = enter(cursor)
  const object = readObject(cursor, 1)
  cursor.end = outer
  return object
}

/** Reads all KeyValue fields of that number in a message. Where a key stands twice the last one counts. */
export function readObject(cursor: Cursor, field: number): { [key: string]: AttributeValue } {
  const pairs: [string, AttributeValue][] = []
  forEachKeyValue(cursor, field, (key, value) => pairs.push([key, value]))
  return Object.fromEntries(pairs)
}

/** Writes a KeyValue as a length-delimited field of the message being written. */
export function writeKeyValue(writer: Writer, field: number, key: string, value: AttributeValue): void {
  if (typeof value === 'string' && writer.shortKeyValue(field, key, value)) return
  writer.message(field, () => {
    writer.stringField(1, key)
    writer.message(2, () => writeAnyValue(writer, value))
  })
}

function writeAnyValue(writer: Writer, value: AttributeValue): void {
  if (typeof value === 'string') writer.stringField(1, value)
  else if (typeof value === 'boolean') {
    writer.tag(2, wireVarint)
    writer.varint(value ? 1 : 0)
  } else if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))) {
    writer.tag(3, wireVarint)
    if (typeof value === 'number' && value >= 0) writer.varint(value)
    else writer.int64(BigInt(value))
  } else if (typeof value === 'number') {
    writer.tag(4, wireFixed64)
    writer.double(value)
  } else if (value instanceof Uint8Array) writer.bytesField(7, value)
  else if (isArray(value)) {
    writer.message(5, () => {
      for (const item of value) writer.message(1, () => writeAnyValue(writer, item))
    })
  } else if (value !== null) {
    writer.message(6, () => {
      for (const [key, item] of Object.entries(value)) writeKeyValue(writer, 1, key, item)
    })
  }
}

function isArray(value: AttributeValue): value is readonly AttributeValue[] {
  return Array.isArray(value)
}

function isObject(value: AttributeValue): value is { readonly [key: string]: AttributeValue } {
  return typeof value === 'object' && value !== null && !isArray(value) && !(value instanceof Uint8Array)
}
