import { isNoId } from '../../model/ids.ts'
import { names } from '../../model/attribute-names.ts'
import type { AttributeReader, PickedAttributes } from '../../model/picked-attributes.ts'
import type { Envelope } from '../../model/resource.ts'
import { type Span, spanKind } from '../../model/span.ts'
import type { Clocks, Estimate, HostClock } from './clocks.ts'
import type { Exchange } from './exchange.ts'
import { type HeaderContext, headersOf, messagesOf, spanKeyOf, traceKeyOf } from './header-context.ts'
import { type Facts, factsOfApp, factsOfSight, peerOfServer } from './rules/agreement.ts'
import { pickFacts } from './pick-facts.ts'
import type { Store } from './stores.ts'

/** An APP span that waits for its trace, with the keys under which it can be found. */
export interface AppSpan extends HeldSpan {
  readonly layer: 'app'
  /** `client`: CLIENT, PRODUCER (Exit); `server`: SERVER, CONSUMER (Entry); `internal`: the others. */
  readonly side: 'client' | 'server' | 'internal'
  /** Which trace its SDK says it belongs to, e.g. `w3c|<lower half>`, `sw8|<native id>`. */
  readonly traceKey: string
  /** What a header written by it names: `w3c|trace|span`, `sw8|segment|span`. */
  readonly ownKey: string
  /** What it names as its parent, in the form of `ownKey`; '' for a root. */
  readonly parentKey: string
  /** The id of the parent that its SDK gave it, also if another Fullspan rewrote it; '' for a root. */
  readonly originalParentSpanId: string
  readonly originalTraceId: string
  /** Equal for all spans of one resource: its bytes. */
  readonly resourceKey: string
  /** `address|port` of the client's end, where a server's span knows it; else ''. */
  readonly peer: string
  /** SkyWalking's: its OTLP ids were made by a receiver, so they may yield. */
  readonly isIdMade: boolean
}

/** A SYS or NET span: one exchange seen at one observation point. */
export interface SightSpan extends HeldSpan {
  readonly layer: 'sys' | 'net'
  readonly point: string
  readonly exchangeKey: string
  readonly responseSeq: number | undefined
  /** SYS: key of the process; '' for NET. */
  readonly process: string
  /** SYS: the thread that moved the request's first byte; 0 is none. */
  readonly thread: number | undefined
  /** SYS: the coroutine that did, where the runtime tells; 0 is none. */
  readonly coroutine: number | undefined
  /** SYS: the thread went to other work before the response, as event loops do. */
  readonly isInterleaved: boolean
  /** `address|port` of the far end of a server's socket; else ''. */
  readonly peer: string
  /** Events were lost around it, so what it says of others' absence is worth nothing. */
  readonly isTouchedByLoss: boolean
  readonly headers: readonly HeaderContext[]
  /** What the messages name that a consumer got by it from a broker; and whether it had not asked for them. */
  readonly received: readonly HeaderContext[]
  readonly isPushed: boolean
  /** It brought messages to a broker: whose parent they name is no party to it. */
  readonly isSent: boolean
  /** It ended in an error, or in nothing: what clients try again. */
  readonly isFailed: boolean
  /** X-Request-ID of the request and of the response; '' where there is none. */
  readonly requestId: string
  readonly responseRequestId: string
  readonly hostId: string
  /** Of its host. */
  readonly clock: HostClock
  /** What a Fullspan before us has said of its host's clock. */
  readonly clockSaid: Estimate | undefined
  /** Set when it is added to the index. */
  exchange: Exchange | undefined
}

export interface HeldSpan {
  /** Once it has left, for those who still ask about it: its ids, without its bytes. */
  span: Span
  readonly resource: Envelope
  readonly scope: Envelope
  /** ns on the scale of `timeOf` */
  readonly start: number
  readonly end: number
  readonly arrivedMs: number
  /** What lies in memory because of it and others. */
  readonly store: Store
  /** What it knows of its exchange; undefined where no rule compares it. */
  readonly facts: Facts | undefined
  isReleased: boolean
  /** It is part of a trace that is about to leave. */
  isLeaving: boolean
  /** When the last span came that hangs together with it, as far as was known at the last look. */
  waitsForMs: number
  /** The trace id it left with. */
  leftInTrace: string
}

export type Held = AppSpan | SightSpan

const epochNs = BigInt(Date.now()) * 1_000_000n

/** Unix nanoseconds as a number: ns since this module was loaded, exact for 104 days before and after it. */
export function timeOf(unixNano: bigint): number {
  return Number(unixNano - epochNs)
}

export interface Kept {
  /** With bytes that may be held. */
  readonly span: Span
  readonly resource: Envelope
  readonly scope: Envelope
  readonly store: Store
  readonly clocks: Clocks
}

/** Reads what association needs from a span. */
export function holdSpan(kept: Kept, arrivedMs: number): Held {
  const read = pickFacts(kept.span)
  const layer = read.text(names.layer)
  if (layer === 'sys' || layer === 'net') return holdSight(kept, arrivedMs, { read, layer })
  return holdApp(kept, arrivedMs, read)
}

// Written out, field by field: objects put together by spreading cost five times as much.
function holdSight(
  { span, resource, scope, store, clocks }: Kept,
  arrivedMs: number,
  { read, layer }: { read: PickedAttributes; layer: 'sys' | 'net' },
): SightSpan {
  const isSys = layer === 'sys'
  const hostId = resource.text(names.hostId)
  const incomplete = read.text(names.incomplete)
  const { headers, received, isPushed, isSent } = read.hasRare ? contextsOf(read) : noContexts
  return {
    layer,
    span,
    resource,
    scope,
    start: timeOf(span.startTimeUnixNano),
    end: timeOf(span.endTimeUnixNano),
    arrivedMs,
    store,
    facts: isSys ? factsOfSight(read) : undefined,
    isReleased: false,
    isLeaving: false,
    waitsForMs: 0,
    leftInTrace: '',
    point: read.text(names.observationPoint),
    exchangeKey: exchangeKeyOf(span, read),
    responseSeq: read.number(names.keyResponseSeq),
    process: isSys ? read.text(names.keyProcess) : '',
    thread: (isSys && read.number(names.keyRequestThread)) || undefined,
    coroutine: (isSys && read.number(names.keyCoroutine)) || undefined,
    isInterleaved: isSys && read.attribute(names.keyEventLoop) === true,
    peer: isSys ? `${read.text(names.networkPeerAddress)}|${read.number(names.networkPeerPort) ?? 0}` : '',
    isTouchedByLoss: isSys && /gap|lost_events/.test(incomplete),
    headers,
    received,
    isPushed,
    isSent,
    isFailed: incomplete.includes('no_response') || read.text(names.errorType) !== '',
    requestId: read.text(names.keyRequestId),
    responseRequestId: read.text(names.keyResponseRequestId),
    hostId,
    clock: clocks.of(hostId),
    clockSaid: clockSaidOf(read),
    exchange: undefined,
  }
}

function holdApp({ span, resource, scope, store }: Kept, arrivedMs: number, read: AttributeReader): AppSpan {
  const side = sideOf(span.kind)
  const rewritten = read.attribute(names.originalParentSpanId)
  const originalParentSpanId = typeof rewritten === 'string' ? rewritten : noZero(span.parentSpanId)
  const originalTraceId = read.text(names.originalTraceId) || noZero(span.traceId)
  const segment = read.text('sw8.segment_id')
  const isNative = segment !== ''
  return {
    layer: 'app',
    span,
    resource,
    scope,
    start: timeOf(span.startTimeUnixNano),
    end: timeOf(span.endTimeUnixNano),
    arrivedMs,
    store,
    facts: side === 'internal' ? undefined : factsOfApp(read, side),
    isReleased: false,
    isLeaving: false,
    waitsForMs: 0,
    leftInTrace: '',
    side,
    traceKey: isNative
      ? `sw8|${read.text('sw8.trace_id') || resource.text('sw8.trace_id')}`
      : traceKeyOf(originalTraceId),
    ownKey: isNative
      ? `sw8|${segment}|${read.number('sw8.span_id') ?? 0}`
      : spanKeyOf(originalTraceId, span.spanId),
    parentKey: isNative
      ? skywalkingParent(span, read.number('sw8.parent_span_id') ?? -1, segment)
      : originalParentSpanId === ''
        ? ''
        : spanKeyOf(originalTraceId, originalParentSpanId),
    originalParentSpanId,
    originalTraceId,
    resourceKey: resourceKeyOf(resource),
    peer: side === 'server' ? (peerOfServer(read) ?? '') : '',
    isIdMade: isNative,
  }
}

/**
 * The key of an exchange, equal at every point that sees it, across NAT: sequence number and hash of the request's first
 * bytes; for UDP the protocol's own id. Without any of them the exchange stands alone.
 */
function exchangeKeyOf(span: Span, read: AttributeReader): string {
  const seq = read.number(names.keyRequestSeq)
  const hash = read.text(names.keyRequestHash)
  const messageId = read.text(names.keyMessageId)
  if (messageId !== '') return `${messageId}|${hash}`
  if (seq !== undefined && hash !== '') return `${seq}|${hash}`
  const responseSeq = read.number(names.keyResponseSeq)
  // One-way sequence numbers never join without the hash (design §7).
  if (seq !== undefined && responseSeq !== undefined) return `${seq}|${responseSeq}`
  return `alone|${span.spanId}`
}

const noContexts = { headers: [], received: [], isPushed: false, isSent: false }

/** Messages that were sent are in the request like any header; messages that came in answer to it are not. */
function contextsOf(read: AttributeReader): Pick<SightSpan, 'headers' | 'received' | 'isPushed' | 'isSent'> {
  const headers = headersOf(read)
  const messages = messagesOf(read)
  if (messages.length === 0) return { headers, received: messages, isPushed: false, isSent: false }
  const type = read.text(names.messagingOperationType)
  if (type === 'send') {
    return { headers: [...headers, ...messages], received: [], isPushed: false, isSent: true }
  }
  return { headers, received: messages, isPushed: type === 'process', isSent: false }
}

function clockSaidOf(read: AttributeReader): Estimate | undefined {
  const offsetNs = read.number(names.clockOffset)
  return offsetNs === undefined
    ? undefined
    : { offsetNs, uncertaintyNs: read.number(names.clockUncertainty) ?? 0 }
}

/** Within the segment, else the first reference (a link that carries the native ids). */
function skywalkingParent(span: Span, parent: number, segment: string): string {
  if (parent >= 0) return `sw8|${segment}|${parent}`
  for (const { attributes } of span.links) {
    const parentSegment = attributes?.['sw8.parent_segment_id']
    const parentSpan = attributes?.['sw8.parent_span_id']
    if (typeof parentSegment === 'string' && typeof parentSpan === 'number') {
      return `sw8|${parentSegment}|${parentSpan}`
    }
  }
  return ''
}

function sideOf(kind: number): AppSpan['side'] {
  if (kind === spanKind.client || kind === spanKind.producer) return 'client'
  if (kind === spanKind.server || kind === spanKind.consumer) return 'server'
  return 'internal'
}

function noZero(id: string): string {
  return isNoId(id) ? '' : id
}

const resourceKeys = new WeakMap<Envelope, string>()

function resourceKeyOf(resource: Envelope): string {
  let key = resourceKeys.get(resource)
  if (key === undefined) {
    key = Buffer.from(resource.bytes ?? []).toString('latin1')
    resourceKeys.set(resource, key)
  }
  return key
}
