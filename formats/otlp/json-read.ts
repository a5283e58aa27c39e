import { isUtf8 } from 'node:buffer'
import type { Signal } from '../../model/batch.ts'
import { readText, wireBytes, wireFixed32, wireFixed64, wireVarint, Writer } from '../../model/wire.ts'
import { exactInteger, integerRange, readBase64, readDouble, readHex } from './json-scalar.ts'
import {
  ascii,
  expectEnd,
  type JsonCursor,
  jsonCursor,
  JsonSyntaxError,
  peek,
  readArray,
  readNumber,
  readObject,
  readString,
  readWord,
  skipJson,
  textOf,
  unexpected,
} from './json-text.ts'
import { type FieldPlan, type MessagePlan, requestPlans, wireTypeOf } from './plan.ts'
import { createRefusals, type RefusalList, type Refusals } from './refusals.ts'

export interface JsonRequest {
  /** The request as protobuf; ids are not checked yet (`checkRequest`). */
  readonly bytes: Uint8Array
  /** Items left out because a value in them is none of its field's type. */
  readonly refusals: Refusals
  /** Top-level keys, where none of them belongs to the request: most likely it is not OTLP, or of another signal. */
  readonly strangeKeys: readonly string[]
}

/** The text is JSON, but no OTLP request, outside of any item. */
export class JsonMappingError extends Error {
  override readonly name = 'JsonMappingError'
}

/**
 * OTLP/JSON to protobuf (OTLP 1.11 "JSON Protobuf Encoding" on proto3's JSON mapping). Lenient where senders differ: `null` for
 * any value is none, names of enum values, original field names, numbers as strings and strings as numbers; strict where the
 * text would be guessed at. Throws JsonSyntaxError (also for text that is not UTF-8) or JsonMappingError.
 */
export function readJsonRequest(signal: Signal, body: Uint8Array): JsonRequest {
  if (!isUtf8(body)) throw new JsonSyntaxError('the body is not UTF-8')
  const state: ReadState = {
    cursor: jsonCursor(body),
    writer: new Writer(Math.max(1024, body.length >> 1)),
    refusals: createRefusals(),
    isInItem: false,
    itemProblem: '',
  }
  const plan = requestPlans[signal]
  const keys: string[] = []
  if (peek(state.cursor) !== ascii.openBrace) throw unexpected(state.cursor, `an ${plan.name} object`)
  readObject(state.cursor, key => {
    if (keys.length < maximumKeys) keys.push(key)
    readMember(state, plan.byName.get(key), 1)
  })
  expectEnd(state.cursor)
  const strangeKeys = keys.some(key => plan.byName.has(key)) ? [] : keys
  return { bytes: state.writer.finish(), refusals: state.refusals, strangeKeys }
}

/** Of a request's top level; it has one or two. */
const maximumKeys = 20

interface ReadState {
  readonly cursor: JsonCursor
  readonly writer: Writer
  readonly refusals: RefusalList
  isInItem: boolean
  /** What makes the item being read unusable; '' so far. */
  itemProblem: string
}

function readMember(state: ReadState, field: FieldPlan | undefined, depth: number): void {
  const { cursor } = state
  const first = peek(cursor)
  if (!field || first === ascii.n) skipJson(cursor)
  else if (!field.isRepeated) readValue(state, field, first, depth)
  else if (first === ascii.openBracket) readArray(cursor, () => readElement(state, field, depth))
  else reject(state, field, 'an array')
}

function readElement(state: ReadState, field: FieldPlan, depth: number): void {
  const { cursor, writer } = state
  const first = peek(cursor)
  if (first !== ascii.n) {
    readValue(state, field, first, depth)
    return
  }
  // An element that is null keeps its place: senders mean a value that JSON cannot say, such as NaN among bounds.
  skipJson(cursor)
  if (field.kind === 'double') writeDouble(writer, field.number, Number.NaN)
  else if (field.message?.name === 'AnyValue') writer.message(field.number, () => undefined)
  else if (wireTypeOf(field.kind) !== wireBytes) writeInteger(writer, field, 0n)
  else if (field.kind !== 'message') writer.stringField(field.number, '')
}

function readValue(state: ReadState, field: FieldPlan, first: number, depth: number): void {
  const { cursor } = state
  if (field.message) {
    if (first !== ascii.openBrace) reject(state, field, 'an object')
    else if (depth >= 100) throw new JsonMappingError('messages are nested more than 100 deep')
    else readMessage(state, field, field.message, depth)
    return
  }
  if (first === ascii.openBrace || first === ascii.openBracket) {
    reject(state, field, `a ${field.kind}`)
    return
  }
  if (first === ascii.quote) readString(cursor)
  else if (first === ascii.t || first === ascii.f) readWord(cursor)
  else readNumber(cursor)
  writeScalar(state, field, first)
}

function readMessage(state: ReadState, field: FieldPlan, plan: MessagePlan, depth: number): void {
  const { writer, cursor, refusals } = state
  const start = writer.length
  if (plan.isItem) {
    state.isInItem = true
    state.itemProblem = ''
  }
  writer.message(field.number, () =>
    readObject(cursor, key => readMember(state, plan.byName.get(key), depth + 1)),
  )
  if (!plan.isItem) return
  state.isInItem = false
  if (state.itemProblem === '') return
  writer.cutTo(start)
  refusals.add(1, state.itemProblem)
}

/** Writes what the cursor passed last. `first`, its first character, tells strings, numbers and words apart. */
function writeScalar(state: ReadState, field: FieldPlan, first: number): void {
  const { writer, cursor } = state
  const { bytes, from, to } = cursor
  const isString = first === ascii.quote
  const isWord = first === ascii.t || first === ascii.f
  switch (field.kind) {
    case 'string':
      if (!isString) break
      if (cursor.unescaped === undefined) writer.rangeField(field.number, bytes, from, to)
      else writer.stringField(field.number, cursor.unescaped)
      return
    case 'bytes':
    case 'hex': {
      const read = field.kind === 'hex' ? readHex : readBase64
      const value = isString ? read(textOf(cursor)) : undefined
      if (!value) break
      writer.bytesField(field.number, value)
      return
    }
    case 'bool':
      if (!isWord) break
      writeInteger(writer, field, first === ascii.t ? 1n : 0n)
      return
    case 'double': {
      const value = isWord ? undefined : readDouble(textOf(cursor))
      if (value === undefined) break
      writeDouble(writer, field.number, value)
      return
    }
    default: {
      const text = textOf(cursor)
      const named = isString ? field.enumValues?.get(text) : undefined
      const value = named === undefined ? (isWord ? undefined : exactInteger(text)) : BigInt(named)
      const [minimum, maximum] = integerRange[field.kind]!
      if (value === undefined || value < minimum || value > maximum) break
      writeInteger(writer, field, value)
      return
    }
  }
  const text = textOf(cursor).slice(0, 40)
  const found = isString ? `"${text}"` : text
  refuse(state, field, `${expected[field.kind] ?? field.kind}, found ${found}`)
}

const expected: Readonly<Record<string, string>> = {
  string: 'a string',
  bytes: 'base64',
  hex: 'hex digits',
  bool: 'true or false',
  double: 'a number',
  enum: 'an integer',
}

function writeDouble(writer: Writer, number: number, value: number): void {
  writer.tag(number, wireFixed64)
  writer.double(value)
}

function writeInteger(writer: Writer, { kind, number }: FieldPlan, value: bigint): void {
  if (kind === 'fixed64' || kind === 'sfixed64') {
    writer.tag(number, wireFixed64)
    writer.fixed64(value)
  } else if (kind === 'fixed32') {
    writer.tag(number, wireFixed32)
    writer.fixed32(Number(value))
  } else {
    writer.tag(number, wireVarint)
    writer.int64(kind === 'sint32' ? (value << 1n) ^ (value >> 31n) : value)
  }
}

/** Passes a value of the wrong shape. */
function reject(state: ReadState, field: FieldPlan, wanted: string): void {
  const { cursor } = state
  const start = cursor.at
  skipJson(cursor)
  const found = readText(cursor.bytes, start, Math.min(cursor.at, start + 12))
  refuse(state, field, `${wanted}, found ${found}`)
}

function refuse(state: ReadState, field: FieldPlan, problem: string): void {
  const message = `${field.jsonName} must be ${problem}`
  if (!state.isInItem) throw new JsonMappingError(message)
  if (state.itemProblem === '') state.itemProblem = message
}
