import type { Exchange } from './exchange.ts'
import type { AppSpan, Held } from './held.ts'
import type { Rules } from './rules/index.ts'
import type { SpanIndex } from './span-index.ts'

/** All that is held and hangs together by any rule: what becomes one trace, or a few. */
export interface Component {
  readonly apps: ReadonlySet<AppSpan>
  readonly exchanges: ReadonlySet<Exchange>
  /** There is more, but this much is a piece. */
  readonly isCut: boolean
}

/** Follows keys and rules from one span to everything that they reach. Bounded by `limit` spans: a giant stays in pieces. */
export function collectComponent(seed: Held, index: SpanIndex, rules: Rules, limit: number): Component {
  const apps = new Set<AppSpan>()
  const exchanges = new Set<Exchange>()
  const queue: (AppSpan | Exchange)[] = []
  let spans = 0
  let isCut = false
  const reach = (found: AppSpan | Exchange | undefined) => {
    if (!found) return
    const isApp = 'ownKey' in found
    if (isApp ? apps.has(found) : exchanges.has(found)) return
    const { isReleased, isLeaving } = isApp ? found : found.head
    if (isReleased || isLeaving) return
    if (spans >= limit) {
      isCut = true
      return
    }
    if (isApp) apps.add(found)
    else exchanges.add(found)
    spans += isApp ? 1 : found.members.length
    queue.push(found)
  }

  /** Keys whose spans were all reached: every one is followed once, however many have it. */
  const followed = new Set<string>()
  const isNew = (key: string) => {
    if (followed.has(key)) return false
    followed.add(key)
    return true
  }

  reach(seed.layer === 'app' ? seed : seed.exchange)
  for (let next = queue.pop(); next; next = queue.pop()) {
    if ('ownKey' in next) reachFromApp(next)
    else reachFromExchange(next)
  }
  return { apps, exchanges, isCut }

  function reachFromApp(app: AppSpan): void {
    if (isNew(app.traceKey)) {
      index.appsByTrace.get(app.traceKey)?.forEach(reach)
      index.exchangesByTrace.get(app.traceKey)?.forEach(exchange => {
        if (exchange.headers.some(({ key }) => rules.header.nested(key))) reach(exchange)
      })
    }
    reach(rules.sameExchange.sightOf(app)?.sight.exchange)
    reach(rules.messaging.deliveryInto(app))
    for (const delivery of index.exchangesByMessage.get(app.ownKey) ?? []) {
      if (rules.messaging.senderOf(delivery)) reach(delivery)
    }
  }

  function reachFromExchange(exchange: Exchange): void {
    for (const { key, traceKey } of exchange.headers) {
      if (!isNew(`header ${key}`)) continue
      const tree = rules.header.nested(key)
      if (!tree) continue
      for (const member of tree.keys()) reach(member)
      if (!followed.has(traceKey)) {
        const [app] = index.appsByTrace.get(traceKey) ?? []
        reach(app)
      }
      index.appsByParent.get(key)?.forEach(reach)
      reach(index.appByKey.get(key))
    }
    reachByRequestId(exchange)
    reachByMessage(exchange)
    const { client, server } = exchange
    if (client) {
      reach(rules.sameExchange.appOf(client)?.app)
      reach((rules.thread(client) ?? rules.statistics.causeOf(client))?.server.exchange)
    }
    if (!server) return
    reach(rules.sameExchange.appOf(server)?.app)
    for (const call of rules.thread.callsOf(server)) reach(call.exchange)
    for (const call of rules.statistics.callsOf(server)) reach(call.exchange)
  }

  /** Those that nest with it: all carriers of the id, or, where they don't nest under one, none. */
  function reachByRequestId({ requestIds }: Exchange): void {
    for (const id of requestIds) {
      if (!isNew(`request ${id}`) || !rules.requestId.nests(id)) continue
      for (const carrier of index.exchangesByRequestId.get(id) ?? []) reach(carrier)
    }
  }

  function reachByMessage(exchange: Exchange): void {
    for (const delivery of rules.messaging.deliveriesOf(exchange)) reach(delivery)
    const sender = rules.messaging.senderOf(exchange)
    if (!sender) return
    reach(sender.kind === 'span' ? sender.app : sender.exchange)
    for (const { key } of exchange.received) {
      for (const app of index.appsByParent.get(key) ?? []) {
        if (rules.messaging.deliveryInto(app) === exchange) reach(app)
      }
    }
  }
}
