import { SegmentCollection, SegmentObject } from './schema.ts'

/** A piece of a trace in one process, as agents report it. Absent fields have protobuf's defaults. */
export interface Segment {
  readonly traceId: string
  readonly traceSegmentId: string
  readonly service: string
  readonly serviceInstance: string
  readonly isSizeLimited: boolean
  readonly spans: readonly SegmentSpan[]
}

export interface SegmentSpan {
  readonly spanId: number
  /** -1 for the first span of a segment. */
  readonly parentSpanId: number
  /** Unix time in ms. */
  readonly startTime: number
  readonly endTime: number
  readonly refs: readonly SegmentRef[]
  readonly operationName: string
  readonly peer: string
  /** 0 Entry, 1 Exit, 2 Local */
  readonly spanType: number
  /** 0 Unknown, 1 Database, 2 RPCFramework, 3 Http, 4 MQ, 5 Cache, 6 FAAS, 7 GenAI */
  readonly spanLayer: number
  readonly componentId: number
  readonly isError: boolean
  readonly tags: readonly Pair[]
  readonly logs: readonly SegmentLog[]
  readonly skipAnalysis: boolean
}

export interface SegmentRef {
  /** 0 CrossProcess, 1 CrossThread */
  readonly refType: number
  readonly traceId: string
  readonly parentTraceSegmentId: string
  readonly parentSpanId: number
  readonly parentService: string
  readonly parentServiceInstance: string
  readonly parentEndpoint: string
  readonly networkAddressUsedAtPeer: string
}

export interface SegmentLog {
  /** Unix time in ms. */
  readonly time: number
  readonly data: readonly Pair[]
}

export interface Pair {
  readonly key: string
  readonly value: string
}

export const spanTypes = ['Entry', 'Exit', 'Local'] as const
export const spanLayers = [
  'Unknown',
  'Database',
  'RPCFramework',
  'Http',
  'MQ',
  'Cache',
  'FAAS',
  'GenAI',
] as const
export const refTypes = ['CrossProcess', 'CrossThread'] as const

/** Reads a SegmentObject. Throws where the bytes are no such message, or it lacks its ids. */
export function decodeSegment(bytes: Uint8Array): Segment {
  const message = SegmentObject.decode(bytes)
  return readSegment(SegmentObject.toObject(message, { longs: Number, defaults: true, arrays: true }))
}

/** The SegmentObjects of a SegmentCollection, undecoded. */
export function splitCollection(bytes: Uint8Array): Uint8Array[] {
  const { segments } = SegmentCollection.toObject(SegmentCollection.decode(bytes), { arrays: true })
  return Array.isArray(segments) ? segments.filter(isBytes) : []
}

/**
 * Reads the JSON form (proto3 JSON with its liberties: enums as names or numbers, 64-bit integers as strings or numbers, null for
 * absent; Python mixes them within one span). Throws where it is no segment.
 */
export function readSegment(json: unknown): Segment {
  if (!isRecord(json)) throw new TypeError('a segment must be an object')
  const segment: Segment = {
    traceId: text(json['traceId']),
    traceSegmentId: text(json['traceSegmentId']),
    service: text(json['service']),
    serviceInstance: text(json['serviceInstance']),
    isSizeLimited: json['isSizeLimited'] === true,
    spans: list(json['spans']).map(readSpan),
  }
  if (segment.traceId === '' || segment.traceSegmentId === '') {
    throw new TypeError('a segment needs traceId and traceSegmentId')
  }
  return segment
}

function readSpan(json: unknown): SegmentSpan {
  if (!isRecord(json)) throw new TypeError('a span must be an object')
  return {
    spanId: integer(json['spanId']),
    parentSpanId: integer(json['parentSpanId']),
    startTime: integer(json['startTime']),
    endTime: integer(json['endTime']),
    refs: list(json['refs']).map(readRef),
    operationName: text(json['operationName']),
    peer: text(json['peer']),
    spanType: enumeration(json['spanType'], spanTypes),
    spanLayer: enumeration(json['spanLayer'], spanLayers),
    componentId: integer(json['componentId']),
    isError: json['isError'] === true,
    tags: pairs(json['tags']),
    logs: list(json['logs']).map(readLog),
    skipAnalysis: json['skipAnalysis'] === true,
  }
}

function readRef(json: unknown): SegmentRef {
  if (!isRecord(json)) throw new TypeError('a reference must be an object')
  return {
    refType: enumeration(json['refType'], refTypes),
    traceId: text(json['traceId']),
    parentTraceSegmentId: text(json['parentTraceSegmentId']),
    parentSpanId: integer(json['parentSpanId']),
    parentService: text(json['parentService']),
    parentServiceInstance: text(json['parentServiceInstance']),
    parentEndpoint: text(json['parentEndpoint']),
    networkAddressUsedAtPeer: text(json['networkAddressUsedAtPeer']),
  }
}

function readLog(json: unknown): SegmentLog {
  if (!isRecord(json)) throw new TypeError('a log must be an object')
  return { time: integer(json['time']), data: pairs(json['data']) }
}

function pairs(json: unknown): Pair[] {
  return list(json).map(pair => {
    if (!isRecord(pair)) throw new TypeError('a tag must be an object of key and value')
    return { key: text(pair['key']), value: text(pair['value']) }
  })
}

function list(json: unknown): readonly unknown[] {
  if (json === undefined || json === null) return []
  if (!Array.isArray(json)) throw new TypeError('a list was expected')
  return json
}

function text(json: unknown): string {
  if (typeof json === 'string') return json
  if (json === undefined || json === null) return ''
  if (typeof json === 'number' || typeof json === 'boolean') return String(json)
  throw new TypeError('a text was expected')
}

function integer(json: unknown): number {
  if (json === undefined || json === null) return 0
  const value = typeof json === 'string' ? Number(json) : json
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw new TypeError('an integer was expected')
  return value
}

function enumeration(json: unknown, names: readonly string[]): number {
  if (typeof json !== 'string') return integer(json)
  const value = names.indexOf(json)
  return value >= 0 ? value : integer(json)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}
