import type { Exchange } from '../exchange.ts'
import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { type ControlRule, controlRule } from './control.ts'
import { headerRule, type HeaderRule } from './header.ts'
import { type MessagingRule, messagingRule } from './messaging.ts'
import { type RequestIdRule, requestIdRule } from './request-id.ts'
import { sameExchangeRule, type SameExchangeRule } from './same-exchange.ts'
import { type StatisticsOptions, type StatisticsRule, statisticsRule } from './statistics.ts'

/** The rules over one index, in order of certainty. */
export interface Rules {
  readonly header: HeaderRule
  readonly requestId: RequestIdRule
  readonly messaging: MessagingRule
  readonly sameExchange: SameExchangeRule
  /** Runtime hint, coroutine, thread, event loop, process. */
  readonly thread: ControlRule
  readonly statistics: StatisticsRule
  readonly appByKey: (key: string) => AppSpan | undefined
  /** To be called when exchanges leave: keys that did not nest stay demoted. Gives how many are. */
  settle(exchanges: ReadonlySet<Exchange>): number
  /** Requests that the process of this call had open from before until after it: what weaker rules choose from. */
  readonly openRequests: (call: SightSpan) => readonly SightSpan[]
}

export function createRules(index: SpanIndex, options: StatisticsOptions): Rules {
  const header = headerRule(index)
  const requestId = requestIdRule(index)
  const messaging = messagingRule(index, header)
  const rules = {
    header,
    requestId,
    messaging,
    sameExchange: sameExchangeRule(index, isProven),
    thread: controlRule(index),
    appByKey: (key: string) => index.appByKey.get(key),
    settle: (exchanges: ReadonlySet<Exchange>) => header.settle(exchanges) + requestId.settle(exchanges),
    openRequests: ({ process, start, end }: SightSpan) =>
      (index.processes.get(process)?.served.overlapping(start, end) ?? []).filter(
        request => request.start <= start && end <= request.end,
      ),
  } satisfies Omit<Rules, 'statistics'>
  return { ...rules, statistics: statisticsRule(rules, options) }

  /** Whom a header has placed already, weaker rules leave alone. */
  function isProven(span: AppSpan | SightSpan): boolean {
    if (span.layer === 'app') {
      if (span.side === 'client') return header.nested(span.ownKey) !== undefined
      return header.exchangeInto(span) !== undefined
    }
    const { exchange } = span
    if (!exchange) return false
    if (span.point === 'c-p') return header.callerOf(exchange)?.kind === 'span'
    return exchange.headers.some(({ key }) => {
      const children = index.appsByParent.get(key)
      return children !== undefined && [...children].some(app => header.exchangeInto(app) === exchange)
    })
  }
}
