import {
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireGroupEnd,
  wireGroupStart,
  wireVarint,
} from '../../model/wire.ts'
import { type MessageSchema, otlpSchemas } from './schema/index.ts'
import { allSignals } from './signals.ts'
import type { Signal } from '../../model/batch.ts'

/** Protobuf's scalar types as far as OTLP uses them; `hex` is an id, which JSON writes as hex instead of base64. */
export type FieldKind =
  | 'string'
  | 'bytes'
  | 'hex'
  | 'message'
  | 'bool'
  | 'enum'
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'int64'
  | 'uint64'
  | 'double'
  | 'fixed64'
  | 'sfixed64'
  | 'fixed32'

/** A field, ready for the loops that check, count and transcode. */
export interface FieldPlan {
  readonly number: number
  readonly jsonName: string
  readonly kind: FieldKind
  readonly isRepeated: boolean
  /** Bits of the field numbers that may not come before it in a message that is in order: its own, and those of its oneof. */
  readonly excludes: number
  /** `"jsonName":` in ASCII, with the bracket that opens a list. */
  readonly jsonKey: Uint8Array
  /** Of a `message`. */
  readonly message: MessagePlan | undefined
  /** Of an `enum`: numbers by name. */
  readonly enumValues: ReadonlyMap<string, number> | undefined
}

export interface MessagePlan {
  readonly name: string
  /** In the schema's order. */
  readonly fields: readonly FieldPlan[]
  readonly byNumber: readonly (FieldPlan | undefined)[]
  /** By lowerCamelCase and by original snake_case name. */
  readonly byName: ReadonlyMap<string, FieldPlan>
  /** What the check does at a tag below 256: one of `action`. All fields of OTLP but flags (16) have tags below 128. */
  readonly actions: Uint8Array
  /** It is what its signal counts: a span, a log record, a data point, a profile sample. */
  readonly isItem: boolean
  /** Numbers of the message fields under which items lie. */
  readonly leadsToItems: ReadonlySet<number>
}

export const action = {
  unknown: 0,
  wrongWireType: 1,
  varint: 2,
  fixed64: 3,
  fixed32: 4,
  bytes: 5,
  message: 6,
  keyValue: 7,
  packedVarints: 8,
  packedFixed64: 9,
  /** Empty or 16 bytes. */
  traceId: 10,
  /** Empty or 8 bytes. */
  spanId: 11,
  /** An index into the string table of profiles. */
  stringIndex: 12,
} as const

const itemMessages = new Set([
  'Span',
  'LogRecord',
  'NumberDataPoint',
  'HistogramDataPoint',
  'ExponentialHistogramDataPoint',
  'SummaryDataPoint',
  'Sample',
])
/** Of attributes; the other indices are fields of profiles alone. */
const stringIndices = new Set(['keyStrindex', 'stringValueStrindex'])
const hexFields = new Set(['traceId', 'spanId', 'parentSpanId'])

const plans = new Map<string, MessagePlan>()

/** The plan of a message of the schema. */
export function planOf(name: string): MessagePlan {
  const known = plans.get(name)
  if (known) return known
  const schema = otlpSchemas[name]
  if (!schema || !('fields' in schema)) throw new RangeError(`There is no OTLP message ${name}.`)
  const fields: FieldPlan[] = []
  const byNumber: (FieldPlan | undefined)[] = []
  const leadsToItems = new Set<number>()
  const actions = new Uint8Array(256)
  const byName = new Map<string, FieldPlan>()
  const plan = { name, fields, byNumber, byName, actions, isItem: itemMessages.has(name), leadsToItems }
  plans.set(name, plan) // before its fields: AnyValue contains itself
  for (const [jsonName, { id, type, rule }] of Object.entries(schema.fields)) {
    const target = otlpSchemas[type]
    const isMessage = target !== undefined && 'fields' in target
    const field: FieldPlan = {
      number: id,
      jsonName,
      kind: isMessage ? 'message' : target ? 'enum' : scalarKind(type, jsonName),
      isRepeated: rule === 'repeated',
      excludes: excludesOf(schema, jsonName),
      jsonKey: Buffer.from(`"${jsonName}":${rule === 'repeated' ? '[' : ''}`),
      message: isMessage ? planOf(type) : undefined,
      enumValues: target && 'values' in target ? new Map(Object.entries(target.values)) : undefined,
    }
    fields.push(field)
    byNumber[id] = field
    byName.set(jsonName, field)
    byName.set(
      jsonName.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      field,
    )
    if (field.message && (field.message.isItem || field.message.leadsToItems.size > 0)) leadsToItems.add(id)
    setActions(actions, field, name)
  }
  return plan
}

function excludesOf({ fields, oneofs }: MessageSchema, jsonName: string): number {
  const siblings = Object.values(oneofs ?? {}).find(({ oneof }) => oneof.includes(jsonName))?.oneof ?? [
    jsonName,
  ]
  return siblings.reduce((bits, name) => bits | (1 << fields[name]!.id), 0)
}

function scalarKind(type: string, jsonName: string): FieldKind {
  return type === 'bytes' && hexFields.has(jsonName) ? 'hex' : (type as FieldKind)
}

function setActions(actions: Uint8Array, field: FieldPlan, messageName: string): void {
  const at = (wireType: number) => field.number * 8 + wireType
  for (const wireType of [wireVarint, wireFixed64, wireBytes, wireGroupStart, wireGroupEnd, wireFixed32]) {
    actions[at(wireType)] = action.wrongWireType
  }
  const wireType = wireTypeOf(field.kind)
  actions[at(wireType)] = actionOf(field, messageName)
  if (!field.isRepeated || wireType === wireBytes) return
  actions[at(wireBytes)] = wireType === wireFixed64 ? action.packedFixed64 : action.packedVarints
}

function actionOf({ kind, message, jsonName }: FieldPlan, messageName: string): number {
  if (message) return message.name === 'KeyValue' ? action.keyValue : action.message
  if (stringIndices.has(jsonName)) return action.stringIndex
  if (messageName === 'SpanLink' && kind === 'hex') {
    return jsonName === 'traceId' ? action.traceId : action.spanId
  }
  const wireType = wireTypeOf(kind)
  if (wireType === wireVarint) return action.varint
  if (wireType === wireFixed64) return action.fixed64
  return wireType === wireFixed32 ? action.fixed32 : action.bytes
}

export function wireTypeOf(kind: FieldKind): number {
  switch (kind) {
    case 'string':
    case 'bytes':
    case 'hex':
    case 'message':
      return wireBytes
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return wireFixed64
    case 'fixed32':
      return wireFixed32
    default:
      return wireVarint
  }
}

/** Plans of the request messages. */
export const requestPlans = Object.fromEntries(
  allSignals.map(({ signal, request }) => [signal, planOf(request)]),
) as Readonly<Record<Signal, MessagePlan>>
