import {
  copyBytes,
  type Cursor,
  readFixed64,
  readInt64,
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

/** Reads a KeyValue message (opentelemetry/proto/common/v1: key = 1, value = 2). */
export function readKeyValue(cursor: Cursor): [key: string, value: AttributeValue] {
  let key = ''
  let value: AttributeValue = null
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) {
      const length = readVarint(cursor)
      key = readText(cursor.bytes, cursor.at, cursor.at + length)
      cursor.at += length
    } else if (tag === valueTag) value = readAnyValue(nested(cursor), value)
    else skipValue(cursor, tag & 7)
  }
  return [key, value]
}

const keyTag = (1 << 3) | wireBytes
const valueTag = (2 << 3) | wireBytes

/** A cursor over the length-delimited value at the cursor, which is moved past it. */
export function nested(cursor: Cursor): Cursor {
  const length = readVarint(cursor)
  const at = cursor.at
  cursor.at = at + length
  return { bytes: cursor.bytes, at, end: at + length }
}

/**
 * Reads an AnyValue message: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7. The last one set wins; `before` is
 * what an earlier part of a split message said, which lists go on with.
 */
export function readAnyValue(cursor: Cursor, before: AttributeValue = null): AttributeValue {
  let value = before
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    switch (tag) {
      case (1 << 3) | wireBytes: {
        const length = readVarint(cursor)
        value = readText(cursor.bytes, cursor.at, cursor.at + length)
        cursor.at += length
        break
      }
      case (2 << 3) | wireVarint:
        value = readInt64(cursor) !== 0n
        break
      case (3 << 3) | wireVarint: {
        const wide = readInt64(cursor)
        const narrow = Number(wide)
        value = Number.isSafeInteger(narrow) ? narrow : wide
        break
      }
      case (4 << 3) | wireFixed64:
        value = doubleOf(readFixed64(cursor.bytes, cursor.at))
        cursor.at += 8
        break
      case (5 << 3) | wireBytes: {
        const values = readArray(nested(cursor))
        value = isArray(value) ? [...value, ...values] : values
        break
      }
      case (6 << 3) | wireBytes: {
        const pairs = Object.fromEntries(readKeyValueList(nested(cursor)))
        value = isObject(value) ? { ...value, ...pairs } : pairs
        break
      }
      case (7 << 3) | wireBytes: {
        const length = readVarint(cursor)
        value = copyBytes(cursor.bytes, cursor.at, cursor.at + length)
        cursor.at += length
        break
      }
      case (8 << 3) | wireVarint: // string_value_strindex: of profiles only, elsewhere as if empty
        skipValue(cursor, wireVarint)
        value = null
        break
      default:
        skipValue(cursor, tag & 7)
    }
  }
  return value
}

function readArray(cursor: Cursor): AttributeValue[] {
  const values: AttributeValue[] = []
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) values.push(readAnyValue(nested(cursor)))
    else skipValue(cursor, tag & 7)
  }
  return values
}

function readKeyValueList(cursor: Cursor): [string, AttributeValue][] {
  const pairs: [string, AttributeValue][] = []
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) pairs.push(readKeyValue(nested(cursor)))
    else skipValue(cursor, tag & 7)
  }
  return pairs
}

/** Writes a KeyValue as a length-delimited field of the message being written. */
export function writeKeyValue(writer: Writer, field: number, key: string, value: AttributeValue): void {
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

function doubleOf(bits: bigint): number {
  bitsView.setBigUint64(0, bits)
  return bitsView.getFloat64(0)
}

const bitsView = new DataView(new ArrayBuffer(8))
