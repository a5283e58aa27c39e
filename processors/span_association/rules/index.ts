import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { memoised } from './memoised.ts'
import { headerRule, type HeaderRule } from './header.ts'
import { requestIdRule, type RequestIdRule } from './request-id.ts'
import { sameExchangeRule, type SameExchangeRule } from './same-exchange.ts'
import { threadRule, type ThreadLink } from './thread.ts'

/** The rules over one index, in order of certainty. */
export interface Rules {
  readonly header: HeaderRule
  readonly requestId: RequestIdRule
  readonly sameExchange: SameExchangeRule
  readonly thread: (call: SightSpan) => ThreadLink | undefined
  readonly appByKey: (key: string) => AppSpan | undefined
}

export function createRules(index: SpanIndex): Rules {
  const header = headerRule(index)
  return {
    header,
    requestId: requestIdRule(index),
    sameExchange: sameExchangeRule(index, isProven),
    thread: memoised(index, threadRule(index)),
    appByKey: key => index.appByKey.get(key),
  }

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
