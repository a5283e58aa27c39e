import type { Signal } from '../../model/batch.ts'
import { type Cursor, readVarint, skipValue, Writer, wireBytes } from '../../model/wire.ts'
import { writeScalar } from './json-value.ts'
import { type FieldPlan, type MessagePlan, requestPlans, wireTypeOf } from './plan.ts'

/**
 * A request as OTLP/JSON text: lowerCamelCase keys, hex ids, 64-bit integers as strings, enums as integers. Fields that the
 * schema does not know are left out, what is not UTF-8 becomes U+FFFD; nothing else is lost. The bytes must have passed the check
 * of intake.
 */
export function writeJsonRequest(signal: Signal, bytes: Uint8Array): string {
  return Buffer.from(writeJsonBytes(signal, bytes)).toString('utf8')
}

/** The same as UTF-8. */
export function writeJsonBytes(signal: Signal, bytes: Uint8Array): Uint8Array {
  const writer = new Writer(Math.max(1024, bytes.length * 3))
  writeMessage(writer, requestPlans[signal], { bytes, at: 0, end: bytes.length }, bytes.length)
  return writer.finish()
}

const openBrace = 0x7b
const closeBrace = 0x7d
const closeBracket = 0x5d
const comma = 0x2c

/**
 * Writes a message that ends at `end`, its fields as they come. Where that would not give JSON that says the same (a list in
 * several places, a field or members of a oneof twice), it begins again in the order of the schema.
 */
function writeMessage(writer: Writer, plan: MessagePlan, cursor: Cursor, end: number): void {
  const [start, mark] = [cursor.at, writer.length]
  let seen = 0
  let open: FieldPlan | undefined
  writer.byte(openBrace)
  while (cursor.at < end) {
    const tag = readVarint(cursor)
    const field = fieldOf(plan, tag)
    if (!field || isEmptyList(field, tag, cursor)) {
      skipValue(cursor, tag & 7)
      continue
    }
    if (field === open && field.isRepeated) writer.byte(comma)
    else {
      if ((seen & field.excludes) !== 0) {
        cursor.at = start
        writer.cutTo(mark)
        writeInOrder(writer, plan, cursor, end)
        return
      }
      if (open?.isRepeated) writer.byte(closeBracket)
      if (open) writer.byte(comma)
      writer.raw(field.jsonKey)
      seen |= 1 << field.number
      open = field
    }
    writeValue(writer, field, tag & 7, cursor)
  }
  if (open?.isRepeated) writer.byte(closeBracket)
  writer.byte(closeBrace)
}

/** undefined: not known, or not of the wire type that it is known by. */
function fieldOf(plan: MessagePlan, tag: number): FieldPlan | undefined {
  const field = tag < 512 ? plan.byNumber[tag >>> 3] : undefined
  if (!field) return undefined
  const wireType = tag & 7
  return wireType === wireTypeOf(field.kind) || (field.isRepeated && wireType === wireBytes)
    ? field
    : undefined
}

function isPacked(field: FieldPlan, wireType: number): boolean {
  return wireType === wireBytes && wireTypeOf(field.kind) !== wireBytes
}

function isEmptyList(field: FieldPlan, tag: number, { bytes, at }: Cursor): boolean {
  return field.isRepeated && isPacked(field, tag & 7) && bytes[at] === 0
}

/** One value, or all of a packed list. */
function writeValue(writer: Writer, field: FieldPlan, wireType: number, cursor: Cursor): void {
  if (!field.message && !isPacked(field, wireType)) {
    writeScalar(writer, field, cursor)
    return
  }
  const length = readVarint(cursor)
  const stop = cursor.at + length
  if (field.message) {
    writeMessage(writer, field.message, cursor, stop)
    return
  }
  while (cursor.at < stop) {
    writeScalar(writer, field, cursor)
    if (cursor.at < stop) writer.byte(comma)
  }
}

interface Place {
  readonly at: number
  readonly wireType: number
}

/** Lists in one place, of fields and members of a oneof the last one, parts of a message joined. */
function writeInOrder(writer: Writer, plan: MessagePlan, cursor: Cursor, end: number): void {
  const places = new Map<number, Place[]>()
  while (cursor.at < end) {
    const tag = readVarint(cursor)
    const field = fieldOf(plan, tag)
    if (field && !isEmptyList(field, tag, cursor)) {
      for (const number of places.keys()) {
        if (number !== field.number && (field.excludes & (1 << number)) !== 0) places.delete(number)
      }
      const place = { at: cursor.at, wireType: tag & 7 }
      const known = places.get(field.number)
      if (known && (field.isRepeated || field.message)) known.push(place)
      else places.set(field.number, [place])
    }
    skipValue(cursor, tag & 7)
  }
  writer.byte(openBrace)
  let isFirst = true
  for (const field of plan.fields) {
    const found = places.get(field.number)
    if (!found) continue
    if (!isFirst) writer.byte(comma)
    isFirst = false
    writer.raw(field.jsonKey)
    if (field.message && !field.isRepeated) writeJoined(writer, field.message, cursor.bytes, found)
    else {
      for (const [index, { at, wireType }] of found.entries()) {
        if (index > 0) writer.byte(comma)
        writeValue(writer, field, wireType, { bytes: cursor.bytes, at, end })
      }
    }
    if (field.isRepeated) writer.byte(closeBracket)
  }
  writer.byte(closeBrace)
}

/** The parts of a message mean what they mean one behind another. */
function writeJoined(writer: Writer, plan: MessagePlan, bytes: Uint8Array, parts: readonly Place[]): void {
  const joined = new Writer(1024)
  for (const { at } of parts) {
    const cursor = { bytes, at, end: bytes.length }
    const length = readVarint(cursor)
    joined.range(bytes, cursor.at, cursor.at + length)
  }
  const whole = joined.finish()
  writeMessage(writer, plan, { bytes: whole, at: 0, end: whole.length }, whole.length)
}
