import type { Exchange } from '../exchange.ts'
import type { SpanIndex } from '../span-index.ts'
import { nestByTime } from './nesting.ts'

/**
 * Rule 1b, proof: the same X-Request-ID on two exchanges (0→0 and 1→1 through proxies that pass it on, 0↔1 where
 * one side sets it).
 *
 * Fires when the exchanges that carry an id nest in one another in time and the outer one's server is the inner one's client.
 * Right, because the id is made for one request. What could fool it: an id that is not unique (fixed, or per session): its
 * exchanges do not nest under one outermost, so it is demoted.
 */
export interface RequestIdRule {
  /** The exchange that this one lies in, by their common id. */
  outerOf(exchange: Exchange): Exchange | undefined
  /** Whether the exchanges with this id nest under one. */
  nests(requestId: string): boolean
}

export function requestIdRule(index: SpanIndex): RequestIdRule {
  function nested(requestId: string) {
    const carriers = requestId === '' ? undefined : index.exchangesByRequestId.get(requestId)
    return carriers && carriers.size > 1 ? nestByTime(carriers) : undefined
  }
  return {
    outerOf: exchange => nested(exchange.requestId)?.get(exchange),
    nests: requestId => nested(requestId) !== undefined,
  }
}
