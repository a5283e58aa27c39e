import { names } from '../../model/attribute-names.ts'
import type { AttributeValue } from '../../model/attributes.ts'
import { Batch } from '../../model/batch.ts'
import { createResource, createScope, type Envelope } from '../../model/resource.ts'
import { Span, spanKind } from '../../model/span.ts'

/** One span with its resource, as a test hands it to a processor. */
export interface Piece {
  readonly resource: Envelope
  readonly scope: Envelope
  readonly span: Span
}

const scope = createScope('test')
const epochNs = 1_700_000_000_000_000_000n

/** Test times are microseconds after a fixed instant. */
export function at(us: number): bigint {
  return epochNs + BigInt(Math.round(us * 1000))
}

let nextId = 1

function newSpanId(): string {
  return (nextId++).toString(16).padStart(16, '0')
}

export interface AppFields {
  readonly service: string
  readonly trace: string
  readonly id?: string
  readonly parent?: string
  readonly side: 'client' | 'server' | 'internal' | 'producer' | 'consumer'
  readonly from: number
  readonly to: number
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  /** Of the resource, beside `service.name`. */
  readonly resource?: Readonly<Record<string, AttributeValue>>
}

export function appSpan(fields: AppFields): Piece {
  const span = Span.create({
    traceId: fields.trace,
    spanId: fields.id ?? newSpanId(),
    parentSpanId: fields.parent ?? '',
    name: `${fields.service} ${fields.side}`,
    kind: spanKind[fields.side],
    startTimeUnixNano: at(fields.from),
    endTimeUnixNano: at(fields.to),
    attributes: Object.entries(fields.attributes ?? {}),
  })
  const resource = { 'service.name': fields.service, ...fields.resource }
  return { resource: resourceOf(`app/${JSON.stringify(resource)}`, resource), scope, span }
}

export interface SightFields {
  readonly point: string
  /** Sequence number of the request: joins the sights of one exchange. */
  readonly seq: number
  readonly from: number
  readonly to: number
  readonly host?: string
  /** SYS: pid, and the thread that moved the request. */
  readonly pid?: number
  readonly thread?: number
  readonly interface?: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  /** Of the resource, beside `host.id` and `service.name`. */
  readonly resource?: Readonly<Record<string, AttributeValue>>
}

export function sight(fields: SightFields): Piece {
  const { point, seq, host = 'host-1', pid = 0 } = fields
  const isSys = point === 'c-p' || point === 's-p'
  const process = `boot/${pid}/1`
  const attributes: Record<string, AttributeValue> = {
    [names.layer]: isSys ? 'sys' : 'net',
    [names.observationPoint]: point,
    [names.keyRequestSeq]: seq,
    [names.keyResponseSeq]: seq + 1000,
    [names.keyRequestHash]: '00000000000000aa',
    ...(isSys ? { [names.keyProcess]: process, [names.keyRequestThread]: fields.thread ?? pid } : {}),
    ...(fields.interface ? { [names.interfaceName]: fields.interface } : {}),
    ...fields.attributes,
  }
  const span = Span.create({
    traceId: `${seq.toString(16).padStart(31, '0')}f`,
    spanId: newSpanId(),
    parentSpanId: '',
    name: `${point} ${fields.interface ?? pid}`,
    kind: isSys ? (point === 'c-p' ? spanKind.client : spanKind.server) : spanKind.internal,
    startTimeUnixNano: at(fields.from),
    endTimeUnixNano: at(fields.to),
    attributes: Object.entries(attributes),
  })
  const resource = { 'host.id': host, 'service.name': isSys ? `pid-${pid}` : host, ...fields.resource }
  return {
    resource: resourceOf(`${host}/${JSON.stringify(resource)}`, resource),
    scope,
    span,
  }
}

/** A whole exchange: both processes, and the given interfaces between them, each `stepUs` inside the one before. */
export function exchange(fields: {
  readonly seq: number
  readonly from: number
  readonly to: number
  readonly client?: { pid: number; thread?: number }
  readonly server?: { pid: number; thread?: number }
  readonly path?: readonly string[]
  readonly attributes?: Readonly<Record<string, AttributeValue>>
}): Piece[] {
  const { seq, client, server, path = ['c', 'c-nd', 's-nd', 's'], attributes } = fields
  const points = [...(client ? ['c-p'] : []), ...path, ...(server ? ['s-p'] : [])]
  return points.map((point, step) =>
    sight({
      point,
      seq,
      from: fields.from + step * stepUs,
      to: fields.to - step * stepUs,
      ...(point === 'c-p' ? client : point === 's-p' ? server : { interface: `if-${point}` }),
      ...(attributes ? { attributes } : {}),
    }),
  )
}

const stepUs = 10

const resources = new Map<string, Envelope>()

function resourceOf(key: string, attributes: Record<string, AttributeValue>): Envelope {
  let resource = resources.get(key)
  if (!resource) {
    resource = createResource(Object.entries(attributes))
    resources.set(key, resource)
  }
  return resource
}

export function batchOf(pieces: readonly Piece[]): Batch {
  return Batch.ofGroups(
    pieces.map(({ resource, scope: own, span }) => ({ resource, scope: own, spans: [span] })),
  )
}

/** The parent's name of every span, by name: a tree that a test can spell out. Names must differ. */
export function treeOf(spans: readonly Span[]): Record<string, string> {
  const byId = new Map(spans.map(span => [span.spanId, span.name]))
  return Object.fromEntries(
    spans.map(span => [span.name, span.parentSpanId === '' ? '' : (byId.get(span.parentSpanId) ?? 'unseen')]),
  )
}
