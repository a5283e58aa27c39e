import type { Exchange } from '../exchange.ts'
import type { HeaderContext } from '../header-context.ts'
import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { createDemotion } from './demotion.ts'
import { nestByTime } from './nesting.ts'

/**
 * Rule 1a, proof: a span id in the request's headers (`traceparent`, `b3`, `uber-trace-id`, Datadog's, X-Ray's, `sw8`), in the comment of
 * an SQL statement, or in the headers of a message that is sent.
 *
 * Fires when an exchange carries a header that names a span. Right, because the span that wrote a header caused the request
 * that carries it, and the span that names the same parent was started by whoever received it. What could fool it: a gateway
 * that passes the header on (then several exchanges carry it: they nest, and only the outermost was caused by the
 * span, only the innermost caused the server's), and a header that is fixed (a health check's: the exchanges do not nest;
 * the key is demoted, unless the span is there and was open all the time, or they are tries of one call). Where headers
 * of several kinds name different spans (a sidecar that writes one and passes the other on), the one that nobody passed on names the
 * caller: it was written for this request.
 */
export interface HeaderRule {
  /** Exchanges with this header in order of nesting; undefined where the key was demoted or nobody carries it. */
  nested(key: string): ReadonlyMap<Exchange, Exchange | undefined> | undefined
  /** What called this exchange, if its header says so. */
  callerOf(exchange: Exchange): HeaderCaller | undefined
  /** The exchange by which the parent that this APP span names reached its process: the innermost with that header. */
  exchangeInto(app: AppSpan): Exchange | undefined
  /** The SYS sight of the process that wrote the header: proof of whose the span is. */
  writerOf(app: AppSpan): SightSpan | undefined
  /** To be called when exchanges leave: a key that did not nest stays demoted. Gives how many are. */
  settle(exchanges: Iterable<Exchange>): number
}

export type HeaderCaller =
  | { readonly kind: 'span'; readonly app: AppSpan; readonly header: HeaderContext }
  | { readonly kind: 'exchange'; readonly exchange: Exchange; readonly header: HeaderContext }
  | { readonly kind: 'unseen'; readonly header: HeaderContext }

export function headerRule(index: SpanIndex): HeaderRule {
  const demotion = createDemotion()

  function nested(key: string): ReadonlyMap<Exchange, Exchange | undefined> | undefined {
    const exchanges = index.exchangesByHeader.get(key)
    if (!exchanges || demotion.has(key)) return undefined
    const tree = nestByTime(exchanges)
    if (tree) return tree
    const writer = index.appByKey.get(key)
    if (writer && [...exchanges].every(({ head }) => isWithin(head, writer))) {
      return new Map([...exchanges].map(exchange => [exchange, undefined]))
    }
    return undefined
  }

  function callerOf(exchange: Exchange): HeaderCaller | undefined {
    let passedOn: HeaderCaller | undefined
    let unseen: HeaderCaller | undefined
    for (const header of exchange.headers) {
      const tree = nested(header.key)
      if (!tree) continue
      const outer = tree.get(exchange)
      const app = outer ? undefined : index.appByKey.get(header.key)
      if (app) return { kind: 'span', app, header }
      if (outer) passedOn ??= { kind: 'exchange', exchange: outer, header }
      else if (header.isSampled) unseen ??= { kind: 'unseen', header }
    }
    return passedOn ?? unseen
  }

  function exchangeInto(app: AppSpan): Exchange | undefined {
    if (app.side === 'client' || app.parentKey === '') return undefined
    const tree = nested(app.parentKey)
    if (!tree) return undefined
    const outers = new Set(tree.values())
    const innermost = [...tree.keys()].filter(exchange => !outers.has(exchange))
    if (innermost.length === 1) return isLocalChild(app) ? undefined : innermost[0]
    const own = index.bindings.processesOf(app.resourceKey)
    const mine = innermost.filter(
      ({ tail, server }) => overlaps(tail, app) && (!server || own.size === 0 || own.has(server.process)),
    )
    return mine.length === 1 ? mine[0] : undefined
  }

  /** A child in the process of the span that wrote the header (an event of the client) did not come over the network. */
  function isLocalChild(app: AppSpan): boolean {
    return app.side === 'internal' && index.appByKey.get(app.parentKey)?.resourceKey === app.resourceKey
  }

  function writerOf(app: AppSpan): SightSpan | undefined {
    const tree = nested(app.ownKey)
    if (!tree) return undefined
    for (const [exchange, outer] of tree) if (!outer && exchange.client) return exchange.client
    return undefined
  }

  /** Not at every look: the outermost exchange may come after those that lie in it. */
  function settle(exchanges: Iterable<Exchange>): number {
    for (const { headers } of exchanges) {
      for (const { key } of headers) if (!nested(key)) demotion.add(key)
    }
    return demotion.size
  }

  return { nested, callerOf, exchangeInto, writerOf, settle }
}

function isWithin(sight: SightSpan, app: AppSpan): boolean {
  return sight.start >= app.start - millisecondNs && sight.end <= app.end + millisecondNs
}

function overlaps(sight: SightSpan, app: AppSpan): boolean {
  return sight.start <= app.end + millisecondNs && app.start <= sight.end + millisecondNs
}

/** SDKs start spans at whole milliseconds. */
const millisecondNs = 1e6
