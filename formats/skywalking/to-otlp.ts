import type { AttributeValue } from '../../model/attributes.ts'
import type { Origin, SpanGroup } from '../../model/batch.ts'
import { createResource, createScope, type Envelope } from '../../model/resource.ts'
import { Span, type SpanEvent, type SpanKind, type SpanLink, spanKind, statusCode } from '../../model/span.ts'
import { spanIdsOf, traceIdOf } from './ids.ts'
import { peerAttributes } from './peer.ts'
import {
  type Pair,
  refTypes,
  type Segment,
  type SegmentLog,
  type SegmentRef,
  type SegmentSpan,
  spanLayers,
  spanTypes,
} from './segment.ts'

/**
 * Writes a segment as OTLP, with nothing lost: all native ids and fields stand in `sw8.*` attributes, all references in links, tags
 * and log data as they came. A key that stands twice becomes a list.
 */
export function segmentToOtlp(segment: Segment, origin?: Origin): SpanGroup {
  const spanIds = spanIdsOf(segment.traceSegmentId)
  const traceId = traceIdOf(segment.traceId)
  const spans = segment.spans.map(span => {
    const refs = parentFirst(span.refs, segment.traceId)
    return Span.create(
      {
        traceId,
        spanId: spanIds(span.spanId),
        parentSpanId: parentIdOf(span, refs[0], segment.traceId, spanIds),
        name: span.operationName,
        kind: kindOf(span),
        startTimeUnixNano: nanoseconds(span.startTime),
        endTimeUnixNano: nanoseconds(Math.max(span.endTime, span.startTime)),
        attributes: attributesOf(segment, span),
        events: span.logs.map(eventOf),
        links: refs.map(linkOf),
        status: { code: span.isError ? statusCode.error : statusCode.unset, message: '' },
      },
      origin,
    )
  })
  return { resource: resourceOf(segment), scope, spans }
}

const scope = createScope('skywalking')

const resources = new Map<string, Envelope>()
const mostResources = 10_000

/** One object for each instance: batches group by identity. Bounded. */
function resourceOf({ service, serviceInstance }: Segment): Envelope {
  const key = `${service}\0${serviceInstance}`
  let resource = resources.get(key)
  if (!resource) {
    if (resources.size >= mostResources) resources.clear()
    resource = createResource([
      ['service.name', service],
      ['service.instance.id', serviceInstance],
    ])
    resources.set(key, resource)
  }
  return resource
}

/** The reference that is the parent comes first: one of the segment's own trace, else none can be. */
function parentFirst(refs: readonly SegmentRef[], traceId: string): readonly SegmentRef[] {
  const at = refs.findIndex(ref => ref.traceId === traceId)
  return at <= 0 ? refs : [refs[at]!, ...refs.slice(0, at), ...refs.slice(at + 1)]
}

function parentIdOf(
  span: SegmentSpan,
  ref: SegmentRef | undefined,
  traceId: string,
  ownIds: (spanId: number) => string,
): string {
  if (span.parentSpanId >= 0 && span.parentSpanId !== span.spanId) return ownIds(span.parentSpanId)
  if (!ref || ref.traceId !== traceId) return ''
  return spanIdsOf(ref.parentTraceSegmentId)(ref.parentSpanId)
}

function kindOf({ spanType, spanLayer }: SegmentSpan): SpanKind {
  const isMessaging = spanLayers[spanLayer] === 'MQ'
  switch (spanTypes[spanType]) {
    case 'Entry':
      return isMessaging ? spanKind.consumer : spanKind.server
    case 'Exit':
      return isMessaging ? spanKind.producer : spanKind.client
    default:
      return spanKind.internal
  }
}

function attributesOf(segment: Segment, span: SegmentSpan): Map<string, AttributeValue> {
  const attributes = valuesOf(span.tags)
  for (const [key, value] of peerAttributes(span)) if (!attributes.has(key)) attributes.set(key, value)
  attributes.set('sw8.trace_id', segment.traceId)
  attributes.set('sw8.segment_id', segment.traceSegmentId)
  attributes.set('sw8.span_id', span.spanId)
  attributes.set('sw8.parent_span_id', span.parentSpanId)
  attributes.set('sw8.span_type', spanTypes[span.spanType] ?? String(span.spanType))
  attributes.set('sw8.span_layer', spanLayers[span.spanLayer] ?? String(span.spanLayer))
  attributes.set('sw8.component_id', span.componentId)
  if (span.peer !== '') attributes.set('sw8.peer', span.peer)
  if (span.skipAnalysis) attributes.set('sw8.skip_analysis', true)
  if (segment.isSizeLimited) attributes.set('sw8.is_size_limited', true)
  return attributes
}

function eventOf({ time, data }: SegmentLog): SpanEvent {
  const attributes = valuesOf(data)
  const kind = attributes.get('event')
  // Java and Node say `event: error`, Python's agent writes a `Traceback`.
  const isException = kind === 'error' || attributes.has('error.kind') || attributes.has('Traceback')
  if (isException) {
    copy(attributes, 'error.kind', 'exception.type')
    copy(attributes, 'message', 'exception.message')
    copy(attributes, 'stack', 'exception.stacktrace')
    copy(attributes, 'Traceback', 'exception.stacktrace')
  }
  const name = isException ? 'exception' : typeof kind === 'string' && kind !== '' ? kind : 'log'
  return { timeUnixNano: nanoseconds(time), name, attributes: Object.fromEntries(attributes) }
}

function copy(attributes: Map<string, AttributeValue>, from: string, to: string): void {
  const value = attributes.get(from)
  if (value !== undefined && !attributes.has(to)) attributes.set(to, value)
}

/** Link attributes by the Collector's names, so that what reads its output reads ours. */
function linkOf(ref: SegmentRef): SpanLink {
  return {
    traceId: traceIdOf(ref.traceId),
    spanId: spanIdsOf(ref.parentTraceSegmentId)(ref.parentSpanId),
    attributes: {
      refType: refTypes[ref.refType] ?? String(ref.refType),
      'sw8.trace_id': ref.traceId,
      'sw8.parent_segment_id': ref.parentTraceSegmentId,
      'sw8.parent_span_id': ref.parentSpanId,
      'parent.service': ref.parentService,
      'parent.service.instance': ref.parentServiceInstance,
      'parent.endpoint': ref.parentEndpoint,
      'network.AddressUsedAtPeer': ref.networkAddressUsedAtPeer,
    },
  }
}

/** Tags as attributes. OTLP allows a key once, agents send some twice: then the values are a list, in their order. */
function valuesOf(pairs: readonly Pair[]): Map<string, AttributeValue> {
  const values = new Map<string, string[]>()
  for (const { key, value } of pairs) {
    const known = values.get(key)
    if (known) known.push(value)
    else values.set(key, [value])
  }
  return new Map([...values].map(([key, all]) => [key, all.length === 1 ? all[0]! : all]))
}

function nanoseconds(ms: number): bigint {
  return BigInt(ms) * 1_000_000n
}
