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
export function requestIdRule(index: SpanIndex): (exchange: Exchange) => Exchange | undefined {
  return exchange => {
    const carriers = index.exchangesByRequestId.get(exchange.requestId)
    if (exchange.requestId === '' || !carriers || carriers.size < 2) return undefined
    return nestByTime(carriers)?.get(exchange)
  }
}
