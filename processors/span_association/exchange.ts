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
  private ordered: Order | undefined

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

  get head(): SightSpan {
    return this.order.path[0]!
  }

  get tail(): SightSpan {
    const { path } = this.order
    return path[path.length - 1]!
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

  /** Whether `inner` happened while this one's last sight was open. */
  encloses(inner: Exchange): boolean {
    return inner !== this && this.tail.start <= inner.head.start && inner.head.end <= this.tail.end
  }
}

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

/** Two sights of one exchange can lie this far apart: retransmissions, and clocks of hosts that differ. */
const slackNs = 1e9

/**
 * Client process, then the interfaces, then the server process. Interfaces stand in the order of the request's first sight,
 * those of the client's host before all others and those of the server's host after them, because clocks of two hosts
 * cannot be compared at this scale. Duration says nothing (DeepFlow orders by it and shows a server's interface as its
 * client's parent).
 */
function orderByPath(members: readonly SightSpan[]): SightSpan[] {
  if (members.length === 1) return [...members]
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
