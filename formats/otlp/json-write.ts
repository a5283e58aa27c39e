import type { Signal } from '../../model/batch.ts'
import { hexOf } from '../../model/ids.ts'
import {
  concatBytes,
  type Cursor,
  readFixed32,
  readFixed64,
  readInt64,
  readText,
  readVarint,
  skipValue,
  wireBytes,
} from '../../model/wire.ts'
import { doubleJson } from './json-scalar.ts'
import { type FieldPlan, type MessagePlan, requestPlans, wireTypeOf } from './plan.ts'

/**
 * A request as OTLP/JSON text: lowerCamelCase keys, hex ids, 64-bit integers as strings, enums as integers. Fields that the
 * schema does not know are left out, what is not UTF-8 becomes U+FFFD; nothing else is lost. The bytes must have passed the check
 * of intake.
 */
export function writeJsonRequest(signal: Signal, bytes: Uint8Array): string {
  return messageJson(requestPlans[signal], { bytes, at: 0, end: bytes.length })
}

/** What was found of a field: values as JSON; of a message that is no list also where it lies, since parts of it merge. */
interface Found {
  readonly values: string[]
  readonly parts: Uint8Array[]
}

function messageJson(plan: MessagePlan, cursor: Cursor): string {
  const found: (Found | undefined)[] = []
  const { bytes, end } = cursor
  while (cursor.at < end) {
    const tag = readVarint(cursor)
    const wireType = tag & 7
    const field = tag < 512 ? plan.byNumber[tag >>> 3] : undefined
    if (!field || !isWireTypeOf(field, wireType)) {
      skipValue(cursor, wireType)
      continue
    }
    const slot = (found[field.number] ??= { values: [], parts: [] })
    if (field.oneof !== undefined) forgetSiblings(plan, field, found)
    if (!field.isRepeated) slot.values.length = 0
    if (!field.message) {
      readScalars(field, wireType, cursor, slot.values)
      continue
    }
    const length = readVarint(cursor)
    const stop = cursor.at + length
    if (field.isRepeated) slot.values.push(messageJson(field.message, { bytes, at: cursor.at, end: stop }))
    else slot.parts.push(bytes.subarray(cursor.at, stop))
    cursor.at = stop
  }
  return joined(plan, found)
}

function joined(plan: MessagePlan, found: readonly (Found | undefined)[]): string {
  let json = ''
  for (const field of plan.fields) {
    const slot = found[field.number]
    if (!slot) continue
    let value = slot.values[0] ?? ''
    if (field.isRepeated && slot.values.length === 0) continue // packed, with nothing in it
    if (field.isRepeated) value = `[${slot.values.join(',')}]`
    else if (field.message) {
      const merged = concatBytes(slot.parts)
      value = messageJson(field.message, { bytes: merged, at: 0, end: merged.length })
    }
    json += `${json === '' ? '{' : ','}"${field.jsonName}":${value}`
  }
  return json === '' ? '{}' : `${json}}`
}

/** Of a oneof the last member on the wire is the one that counts. */
function forgetSiblings(plan: MessagePlan, field: FieldPlan, found: (Found | undefined)[]): void {
  for (const other of plan.fields) {
    if (other.oneof === field.oneof && other !== field) found[other.number] = undefined
  }
}

function isWireTypeOf(field: FieldPlan, wireType: number): boolean {
  return wireType === wireTypeOf(field.kind) || (field.isRepeated && wireType === wireBytes)
}

/** One value, or all of a packed list. */
function readScalars(field: FieldPlan, wireType: number, cursor: Cursor, values: string[]): void {
  if (wireType !== wireBytes || wireTypeOf(field.kind) === wireBytes) {
    values.push(scalarJson(field, cursor))
    return
  }
  const length = readVarint(cursor)
  const stop = cursor.at + length
  while (cursor.at < stop) values.push(scalarJson(field, cursor))
}

function scalarJson(field: FieldPlan, cursor: Cursor): string {
  switch (field.kind) {
    case 'string':
    case 'bytes':
    case 'hex': {
      const length = readVarint(cursor)
      const { bytes, at } = cursor
      cursor.at += length
      if (field.kind === 'hex') return `"${hexOf(bytes, at, at + length)}"`
      if (field.kind === 'string') return JSON.stringify(readText(bytes, at, at + length))
      return `"${Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('base64')}"`
    }
    case 'double':
    case 'fixed64':
    case 'sfixed64': {
      const bits = readFixed64(cursor.bytes, cursor.at)
      cursor.at += 8
      if (field.kind === 'double') return doubleJson(doubleOfBits(bits))
      return `"${field.kind === 'fixed64' ? bits : BigInt.asIntN(64, bits)}"`
    }
    case 'fixed32':
      cursor.at += 4
      return String(readFixed32(cursor.bytes, cursor.at - 4))
    case 'bool':
      return readInt64(cursor) === 0n ? 'false' : 'true'
    default:
      return varintJson(field, readInt64(cursor))
  }
}

function varintJson({ kind }: FieldPlan, value: bigint): string {
  if (kind === 'int64') return `"${value}"`
  if (kind === 'uint64') return `"${BigInt.asUintN(64, value)}"`
  if (kind === 'uint32') return String(BigInt.asUintN(32, value))
  if (kind !== 'sint32') return String(BigInt.asIntN(32, value))
  const zigzag = BigInt.asUintN(32, value)
  return String((zigzag >> 1n) ^ -(zigzag & 1n))
}

const bitsView = new DataView(new ArrayBuffer(8))

function doubleOfBits(bits: bigint): number {
  bitsView.setBigUint64(0, bits)
  return bitsView.getFloat64(0)
}
