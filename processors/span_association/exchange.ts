import { names } from '../../model/attribute-names.ts'
import type { SightSpan } from './held.ts'

/** What a propagation header in a request names: the span that wrote it. */
export interface HeaderContext {
  /** As AppSpan.ownKey. */
  readonly key: string
  /** As AppSpan.traceKey. */
  readonly traceKey: string
  /** 32 and 16 hex digits for W3C, '' for SkyWalking, whose OTLP ids are a receiver's. */
  readonly traceId: string
  readonly spanId: string
  readonly isSampled: boolean
  readonly name: 'traceparent' | 'sw8'
}

/** One request and its response, with every point at which it was seen: joined by sequence numbers. */
export class Exchange {
  readonly key: string
  readonly members: SightSpan[] = []
  headers: readonly HeaderContext[] = []
  /** X-Request-ID in the request, and the one in the response where the request had none. */
  requestId = ''
  private ordered: SightSpan[] | undefined

  constructor(key: string) {
    this.key = key
  }

  /** Whether this may be another sight of the same exchange: overlapping in time, not another response. */
  fits(sight: SightSpan): boolean {
    return this.members.every(
      member =>
        member.start <= sight.end + slackNs &&
        sight.start <= member.end + slackNs &&
        (member.responseSeq === undefined ||
          sight.responseSeq === undefined ||
          member.responseSeq === sight.responseSeq),
    )
  }

  add(sight: SightSpan): void {
    this.members.push(sight)
    this.ordered = undefined
    sight.exchange = this
    if (this.headers.length === 0) this.headers = headersOf(sight)
    this.requestId ||= sight.span.text(names.keyRequestId) || sight.span.text(names.keyResponseRequestId)
  }

  /** Its sights in the order in which the request passed them. */
  get path(): readonly SightSpan[] {
    return (this.ordered ??= orderByPath(this.members))
  }

  /** The client process's own sight (`c-p`). */
  get client(): SightSpan | undefined {
    return this.members.find(({ point }) => point === 'c-p')
  }

  /** The server process's own sight (`s-p`). */
  get server(): SightSpan | undefined {
    return this.members.find(({ point }) => point === 's-p')
  }

  get head(): SightSpan {
    return this.path[0]!
  }

  get tail(): SightSpan {
    return this.path[this.path.length - 1]!
  }

  /** Whether `inner` happened while this one's last sight was open. */
  encloses(inner: Exchange): boolean {
    return inner !== this && this.tail.start <= inner.head.start && inner.head.end <= this.tail.end
  }
}

/** Two sights of one exchange can lie this far apart: retransmissions, and clocks of hosts that differ. */
const slackNs = 1e9

/**
 * Client process, then the interfaces, then the server process. Interfaces stand in the order of the request's first sight,
 * those of the client's host before all others and those of the server's host after them, because clocks of two hosts
 * cannot be compared at this scale. Duration says nothing (DeepFlow orders by it and shows a server's interface as its
 * client's parent).
 */
function orderByPath(members: readonly SightSpan[]): SightSpan[] {
  const clientHost = hostOf(members, ['c-p', 'c', 'c-nd'])
  const serverHost = hostOf(members, ['s-p', 's', 's-nd'])
  const rank = ({ point, hostId }: SightSpan): number => {
    if (point === 'c-p') return 0
    if (point === 's-p') return 4
    if (clientHost === serverHost) return 2
    return hostId === clientHost ? 1 : hostId === serverHost ? 3 : 2
  }
  return [...members].sort((a, b) => rank(a) - rank(b) || a.start - b.start || b.end - a.end)
}

function hostOf(members: readonly SightSpan[], points: readonly string[]): string | undefined {
  return members.find(({ point }) => points.includes(point))?.hostId
}

function headersOf({ span }: SightSpan): HeaderContext[] {
  const headers: HeaderContext[] = []
  const w3c = traceparentPattern.exec(span.text(names.keyTraceparent))
  if (w3c && !isZero(w3c[1]!) && !isZero(w3c[2]!)) {
    const [, traceId = '', spanId = '', flags = '00'] = w3c
    headers.push({
      key: `w3c|${traceId}|${spanId}`,
      traceKey: `w3c|${traceId}`,
      traceId,
      spanId,
      isSampled: (Number.parseInt(flags, 16) & 1) === 1,
      name: 'traceparent',
    })
  }
  const sw8 = span.text(names.keySw8).split('/')
  if (sw8.length === 3) {
    const [traceId = '', segmentId = '', spanId = ''] = sw8
    headers.push({
      key: `sw8|${segmentId}|${spanId}`,
      traceKey: `sw8|${traceId}`,
      traceId: '',
      spanId: '',
      isSampled: true,
      name: 'sw8',
    })
  }
  return headers
}

/** W3C Trace Context §3.2: version, trace-id, parent-id, flags; later versions may append. */
const traceparentPattern = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

function isZero(hex: string): boolean {
  return /^0+$/.test(hex)
}
