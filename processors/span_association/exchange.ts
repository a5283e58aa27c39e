import { byReference, comparableWithinNs, type Crossing } from './clocks.ts'
import type { HeaderContext } from './header-context.ts'
import type { SightSpan } from './held.ts'

/** One request and its response, with every point at which it was seen: joined by sequence numbers. */
export class Exchange {
  readonly key: string
  readonly members: SightSpan[] = []
  headers: readonly HeaderContext[] = []
  /** What the messages name that it took from a broker. */
  received: readonly HeaderContext[] = []
  /** X-Request-ID in the request and in the response: the same, or two, or none. */
  requestIds: readonly string[] = []
  /** No header names its trace. */
  isBare = true
  private ordered: Order | undefined

  constructor(key: string) {
    this.key = key
  }

  /**
   * Whether this may be another sight of the same exchange, its key being equal: not another response, and at the same time, where
   * times can be compared. Where they cannot yet, because the clocks of two hosts were never seen to differ, equal sequence numbers of
   * the response say it, too.
   */
  fits(sight: SightSpan): boolean {
    return this.members.every(member => {
      const isSameResponse = member.responseSeq !== undefined && member.responseSeq === sight.responseSeq
      if (!isSameResponse && member.responseSeq !== undefined && sight.responseSeq !== undefined) return false
      const within = comparableWithinNs(member.clock, sight.clock)
      if (isSameResponse && within > 0) return areNear(member, sight, farthestNs)
      return areNear(member, sight, slackNs + (Number.isFinite(within) ? within : 0))
    })
  }

  add(sight: SightSpan): void {
    this.members.push(sight)
    this.ordered = undefined
    sight.exchange = this
    if (this.headers.length === 0) this.headers = sight.headers
    if (this.received.length === 0) this.received = sight.received
    for (const id of [sight.requestId, sight.responseRequestId]) {
      if (id !== '' && !this.requestIds.includes(id)) this.requestIds = [...this.requestIds, id]
    }
  }

  /** Takes the place of an earlier version of the same sight. */
  replace(old: SightSpan, sight: SightSpan): void {
    this.members[this.members.indexOf(old)] = sight
    this.ordered = undefined
    sight.exchange = this
  }

  /** Its sights in the order in which the request passed them. */
  get path(): readonly SightSpan[] {
    return this.order.path
  }

  /** The client process's own sight (`c-p`). */
  get client(): SightSpan | undefined {
    return this.order.client
  }

  /** The server process's own sight (`s-p`). */
  get server(): SightSpan | undefined {
    return this.order.server
  }

  /** When its first sight saw the request, by the clock of the reference host. */
  get startByReference(): number {
    return byReference(this.head.start, this.head.clock)
  }

  /** The host of the client (`c`) or of the server (`s`), where one of its points was seen. */
  hostOf(side: 'c' | 's'): string | undefined {
    return hostOf(this.members, pointsOf[side])
  }

  /** Its key is a sequence number and a hash of the request's first bytes. */
  get isProvenTcp(): boolean {
    return provenKey.test(this.key)
  }

  get head(): SightSpan {
    return this.order.path[0]!
  }

  get tail(): SightSpan {
    const { path } = this.order
    return path[path.length - 1]!
  }

  /** Clocks turned out to differ from what was known. */
  forgetOrder(): void {
    this.ordered = undefined
  }

  private get order(): Order {
    return (this.ordered ??= {
      path: orderByPath(this.members),
      client: this.members.find(({ point }) => point === 'c-p'),
      server: this.members.find(({ point }) => point === 's-p'),
    })
  }

  /** A broker sent it to a consumer, unasked. */
  get isPushed(): boolean {
    return this.members.some(({ isPushed }) => isPushed)
  }

  /** It brought messages to a broker. */
  get isSent(): boolean {
    return this.members.some(({ isSent }) => isSent)
  }

  /** It ended in an error, or in nothing, wherever it was seen. */
  get isFailed(): boolean {
    return this.members.some(({ isFailed }) => isFailed)
  }

  /** Whether `inner` happened while this one's last sight was open, as far as clocks can tell. */
  encloses(inner: Exchange): boolean {
    if (inner === this) return false
    const { tail } = this
    const { head } = inner
    return (
      byReference(tail.start, tail.clock) <= byReference(head.start, head.clock) &&
      byReference(head.end, head.clock) <= byReference(tail.end, tail.clock)
    )
  }

  /** Other sights at other hosts whose order on the path is certain, if the sequence numbers of both ways prove them to be the same. */
  forEachCrossing(sight: SightSpan, see: (crossing: Crossing) => void): void {
    for (const member of this.members) {
      if (member.hostId === sight.hostId) continue
      const order = sideOf(sight) - sideOf(member)
      if (order === 0 || member.responseSeq === undefined || member.responseSeq !== sight.responseSeq)
        continue
      const [first, second] = order > 0 ? [member, sight] : [sight, member]
      see({
        from: first.clock,
        to: second.clock,
        requestLeftNs: first.start,
        requestCameNs: second.start,
        responseLeftNs: second.end,
        responseCameNs: first.end,
      })
    }
  }
}

/** On the hosts of the two processes. */
const pointsOf = { c: ['c-p', 'c', 'c-nd'], s: ['s-p', 's', 's-nd'] }

const provenKey = /^\d+\|[0-9a-f]{16}$/

interface Order {
  readonly path: readonly SightSpan[]
  readonly client: SightSpan | undefined
  readonly server: SightSpan | undefined
}

/** Exchanges that carry one key. */
export class Carriers extends Set<Exchange> {
  /** How they nest, as far as it was worked out since the last change; null where they do not. */
  nesting: ReadonlyMap<Exchange, Exchange | undefined> | null | undefined
}

/** Two sights of one exchange can lie this far apart: retransmissions, and clocks of hosts that differ before it is known by how much. */
const slackNs = 1e9

/** Clocks of two hosts may differ by this much for a link to be found: a day. */
const farthestNs = 86_400e9

function areNear(a: SightSpan, b: SightSpan, slack: number): boolean {
  return (
    byReference(a.start, a.clock) <= byReference(b.end, b.clock) + slack &&
    byReference(b.start, b.clock) <= byReference(a.end, a.clock) + slack
  )
}

/** On the client's side, on the server's, or somewhere between. */
function sideOf({ point }: SightSpan): number {
  return point.startsWith('c') ? 0 : point.startsWith('s') ? 2 : 1
}

/**
 * Client process, then the interfaces, then the server process. Interfaces stand in the order of the request's first sight,
 * those of the client's host before all others and those of the server's host after them, because clocks of two hosts
 * can hardly be compared at this scale. Duration says nothing (DeepFlow orders by it and shows a server's interface as its
 * client's parent).
 */
function orderByPath(members: readonly SightSpan[]): SightSpan[] {
  if (members.length === 1) return [...members]
  const clientHost = hostOf(members, pointsOf.c)
  const serverHost = hostOf(members, pointsOf.s)
  const rank = ({ point, hostId }: SightSpan): number => {
    if (point === 'c-p') return 0
    if (point === 's-p') return 4
    if (clientHost === serverHost) return 2
    return hostId === clientHost ? 1 : hostId === serverHost ? 3 : 2
  }
  return [...members].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      byReference(a.start, a.clock) - byReference(b.start, b.clock) ||
      b.end - b.start - (a.end - a.start),
  )
}

function hostOf(members: readonly SightSpan[], points: readonly string[]): string | undefined {
  return members.find(({ point }) => points.includes(point))?.hostId
}
