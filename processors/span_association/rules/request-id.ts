import type { Exchange } from '../exchange.ts'
import type { SpanIndex } from '../span-index.ts'
import { createDemotion } from './demotion.ts'
import { nestByTime } from './nesting.ts'

/**
 * Rule 1b, proof: the same X-Request-ID on two exchanges, in the requests (0→0: a proxy passes it on), in the responses (1→1: a
 * proxy hands back what the server set), or in the response of the outer and the request of the inner one (0↔1: a proxy set it for
 * a client that sent none).
 *
 * Fires when the exchanges that carry an id nest in one another in time and the outer one's server is the inner one's client.
 * Right, because the id is made for one request. What could fool it: an id that is not unique (fixed, or per session): its
 * exchanges do not nest under one outermost, so it is demoted, and stays so. A client that tries again with the same id is not
 * that: its tries come one after the other, and the earlier ones failed.
 */
export interface RequestIdRule {
  /** The exchange that caused this one. Where several ids say so (the proxy's and its client's), the innermost. */
  callerOf(exchange: Exchange): RequestIdLink | undefined
  /** Whether the exchanges with this id nest, and are several. */
  nests(id: string): boolean
  /** To be called when exchanges leave: an id that did not nest stays demoted. Gives how many are. */
  settle(exchanges: Iterable<Exchange>): number
}

export interface RequestIdLink {
  readonly outer: Exchange
  readonly rule: 'request_id'
  readonly confidence: 1
  readonly evidence: string
}

export function requestIdRule(index: SpanIndex): RequestIdRule {
  const demotion = createDemotion()

  function nested(id: string): ReadonlyMap<Exchange, Exchange | undefined> | undefined {
    const carriers = index.exchangesByRequestId.get(id)
    return carriers && !demotion.has(id) ? nestByTime(carriers) : undefined
  }

  function callerOf(exchange: Exchange): RequestIdLink | undefined {
    let found: RequestIdLink | undefined
    for (const id of exchange.requestIds) {
      const outer = nested(id)?.get(exchange)
      if (!outer || (found && found.outer.head.start >= outer.head.start)) continue
      found = { outer, rule: 'request_id', confidence: 1, evidence: `X-Request-ID ${id}` }
    }
    return found
  }

  function settle(exchanges: Iterable<Exchange>): number {
    for (const { requestIds } of exchanges) {
      for (const id of requestIds) if (!nested(id)) demotion.add(id)
    }
    return demotion.size
  }

  return { callerOf, nests: id => (nested(id)?.size ?? 0) > 1, settle }
}
