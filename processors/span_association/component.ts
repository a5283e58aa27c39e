import type { Exchange } from './exchange.ts'
import type { AppSpan, Held } from './held.ts'
import type { Rules } from './rules/index.ts'
import type { SpanIndex } from './span-index.ts'

/** All that is held and hangs together by any rule: what becomes one trace, or a few. */
export interface Component {
  readonly apps: ReadonlySet<AppSpan>
  readonly exchanges: ReadonlySet<Exchange>
}

/** Follows keys and rules from one span to everything that they reach. Bounded by `limit` spans: a giant stays in pieces. */
export function collectComponent(seed: Held, index: SpanIndex, rules: Rules, limit: number): Component {
  const apps = new Set<AppSpan>()
  const exchanges = new Set<Exchange>()
  const queue: (AppSpan | Exchange)[] = []
  const reach = (found: AppSpan | Exchange | undefined) => {
    if (!found || apps.size + exchanges.size >= limit) return
    if ('ownKey' in found) {
      if (apps.has(found) || found.isReleased) return
      apps.add(found)
    } else {
      if (exchanges.has(found) || found.head.isReleased) return
      exchanges.add(found)
    }
    queue.push(found)
  }

  reach(seed.layer === 'app' ? seed : seed.exchange)
  for (let next = queue.pop(); next; next = queue.pop()) {
    if ('ownKey' in next) reachFromApp(next)
    else reachFromExchange(next)
  }
  return { apps, exchanges }

  function reachFromApp(app: AppSpan): void {
    index.appsByTrace.get(app.traceKey)?.forEach(reach)
    index.exchangesByTrace.get(app.traceKey)?.forEach(exchange => {
      if (exchange.headers.some(({ key }) => rules.header.nested(key))) reach(exchange)
    })
    reach(rules.sameExchange.sightOf(app)?.sight.exchange)
  }

  function reachFromExchange(exchange: Exchange): void {
    for (const { key, traceKey } of exchange.headers) {
      const tree = rules.header.nested(key)
      if (!tree) continue
      for (const member of tree.keys()) reach(member)
      index.appsByTrace.get(traceKey)?.forEach(reach)
      index.appsByParent.get(key)?.forEach(reach)
      reach(index.appByKey.get(key))
    }
    reachByRequestId(exchange)
    const { client, server } = exchange
    if (client) {
      reach(rules.sameExchange.appOf(client)?.app)
      reach(rules.thread(client)?.server.exchange)
    }
    if (!server) return
    reach(rules.sameExchange.appOf(server)?.app)
    for (const call of index.processes.get(server.process)?.called.overlapping(server.start, server.end) ??
      []) {
      if (!call.isReleased && rules.thread(call)?.server === server) reach(call.exchange)
    }
  }

  function reachByRequestId(exchange: Exchange): void {
    if (exchange.requestId === '') return
    const outer = rules.requestId(exchange)
    reach(outer)
    for (const carrier of index.exchangesByRequestId.get(exchange.requestId) ?? []) {
      if (rules.requestId(carrier) === exchange) reach(carrier)
    }
  }
}
