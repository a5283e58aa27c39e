import { hexOf } from '../../model/ids.ts'
import {
  type Cursor,
  readDouble,
  readFixed32,
  readFixed64,
  readInt64,
  readText,
  readVarint,
  type Writer,
} from '../../model/wire.ts'
import { doubleJson } from './json-scalar.ts'
import type { FieldPlan } from './plan.ts'

const quote = 0x22
const backslash = 0x5c

/** Writes the value at the cursor as JSON and passes it. */
export function writeScalar(writer: Writer, field: FieldPlan, cursor: Cursor): void {
  switch (field.kind) {
    case 'string':
    case 'bytes':
    case 'hex':
      writeBytes(writer, field, cursor)
      return
    case 'double':
      writer.ascii(doubleJson(readDouble(cursor.bytes, cursor.at)))
      cursor.at += 8
      return
    case 'fixed64':
    case 'sfixed64': {
      const bits = readFixed64(cursor.bytes, cursor.at)
      writeQuoted(writer, String(field.kind === 'fixed64' ? bits : BigInt.asIntN(64, bits)))
      cursor.at += 8
      return
    }
    case 'fixed32':
      writer.ascii(String(readFixed32(cursor.bytes, cursor.at)))
      cursor.at += 4
      return
    default:
      writeVarint(writer, field, cursor)
  }
}

function writeQuoted(writer: Writer, text: string): void {
  writer.byte(quote)
  writer.ascii(text)
  writer.byte(quote)
}

function writeBytes(writer: Writer, { kind }: FieldPlan, cursor: Cursor): void {
  const length = readVarint(cursor)
  const { bytes, at } = cursor
  const stop = at + length
  cursor.at = stop
  if (kind === 'hex') writeQuoted(writer, hexOf(bytes, at, stop))
  else if (kind === 'bytes') {
    writeQuoted(writer, Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('base64'))
  } else if (isPlain(bytes, at, stop)) {
    writer.byte(quote)
    writer.range(bytes, at, stop)
    writer.byte(quote)
  } else writer.raw(Buffer.from(JSON.stringify(readText(bytes, at, stop))))
}

/** Text that JSON writes as it is: ASCII without control characters, quotes and backslashes. */
function isPlain(bytes: Uint8Array, at: number, stop: number): boolean {
  for (let index = at; index < stop; index++) {
    const byte = bytes[index]!
    if (byte < 0x20 || byte >= 0x7f || byte === quote || byte === backslash) return false
  }
  return true
}

function writeVarint(writer: Writer, { kind }: FieldPlan, cursor: Cursor): void {
  const isText = kind === 'int64' || kind === 'uint64'
  if (cursor.bytes[cursor.at]! < 0x80 && kind !== 'sint32' && kind !== 'bool') {
    const small = String(cursor.bytes[cursor.at++])
    if (isText) writeQuoted(writer, small)
    else writer.ascii(small)
    return
  }
  const value = readInt64(cursor)
  if (kind === 'bool') writer.ascii(value === 0n ? 'false' : 'true')
  else if (kind === 'int64') writeQuoted(writer, String(value))
  else if (kind === 'uint64') writeQuoted(writer, String(BigInt.asUintN(64, value)))
  else if (kind === 'uint32') writer.ascii(String(BigInt.asUintN(32, value)))
  else if (kind === 'sint32') {
    const zigzag = BigInt.asUintN(32, value)
    writer.ascii(String((zigzag >> 1n) ^ -(zigzag & 1n)))
  } else writer.ascii(String(BigInt.asIntN(32, value)))
}
