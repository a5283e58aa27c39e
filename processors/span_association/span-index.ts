import { createBindings, type Bindings } from './bindings.ts'
import type { Clocks, Crossing } from './clocks.ts'
import { Carriers, Exchange } from './exchange.ts'
import type { AppSpan, Held, SightSpan } from './held.ts'
import { createHints, type Hints } from './hints.ts'
import { IntervalList } from './interval-list.ts'
import { createProcessesByPid, type ProcessesByPid } from './processes-by-pid.ts'
import { createProcessHistory, type ProcessHistory } from './process-history.ts'

/** Everything held, found by the keys that could join it to others. Every span is looked at once, when it comes. */
export interface SpanIndex {
  add(held: Held): void
  /** The same span, come before: another delivery, or an earlier version of one that grows. */
  earlierOf(held: Held): Held | undefined
  /** Puts a later version in the place of an earlier one. */
  replace(earlier: Held, held: Held): void
  /** Forgets a span that left. What looks at time alone forgets it at the next `forgetServedBefore`. */
  remove(held: Held): void
  /** Forgets what processes served before this time. */
  forgetServedBefore(time: number): void
  /** Whether so many spans of its trace are held that a piece of it must leave. */
  isTraceFull(held: Held, limit: number): boolean
  /** Clocks turned out to differ from what was known: what was worked out from times is forgotten. */
  forgetOrder(): void
  /** Trace ids of APP spans, and exchanges that no header puts into one. */
  readonly traceCount: number
  readonly appsByTrace: ReadonlyMap<string, ReadonlySet<AppSpan>>
  readonly appByKey: ReadonlyMap<string, AppSpan>
  readonly appsByParent: ReadonlyMap<string, ReadonlySet<AppSpan>>
  readonly appsByResource: ReadonlyMap<string, IntervalList<AppSpan>>
  /** SERVER spans by the client's end that they name, `address|port`. */
  readonly appsByPeer: ReadonlyMap<string, ReadonlySet<AppSpan>>
  readonly exchangesByHeader: ReadonlyMap<string, ReadonlySet<Exchange>>
  readonly exchangesByTrace: ReadonlyMap<string, ReadonlySet<Exchange>>
  readonly exchangesByRequestId: ReadonlyMap<string, ReadonlySet<Exchange>>
  /** Those that took messages from a broker, by the spans that the messages name. */
  readonly exchangesByMessage: ReadonlyMap<string, ReadonlySet<Exchange>>
  /** `s-p` sights by the far end of their socket, `address|port`. */
  readonly servedByPeer: ReadonlyMap<string, ReadonlySet<SightSpan>>
  readonly processes: ReadonlyMap<string, ProcessHistory>
  readonly processesByPid: ProcessesByPid
  readonly bindings: Bindings
  readonly hints: Hints
  /** Changes with everything that rules look at, but not when spans leave. */
  readonly version: number
}

export function createSpanIndex(clocks: Clocks): SpanIndex {
  const appsByTrace = new Map<string, Set<AppSpan>>()
  const appByKey = new Map<string, AppSpan>()
  const appsByParent = new Map<string, Set<AppSpan>>()
  const appsByResource = new Map<string, IntervalList<AppSpan>>()
  const appsByPeer = new Map<string, Set<AppSpan>>()
  const exchangesByKey = new Map<string, Set<Exchange>>()
  const exchangesByHeader = new Map<string, Carriers>()
  const exchangesByTrace = new Map<string, Set<Exchange>>()
  const exchangesByRequestId = new Map<string, Carriers>()
  const exchangesByMessage = new Map<string, Set<Exchange>>()
  const servedByPeer = new Map<string, Set<SightSpan>>()
  const processes = new Map<string, ProcessHistory>()
  const processesByPid = createProcessesByPid()
  const bindings = createBindings()
  const hints = createHints()
  let version = 0
  let bareExchanges = 0

  function addApp(app: AppSpan): void {
    put(appsByTrace, app.traceKey, app)
    let ofResource = appsByResource.get(app.resourceKey)
    if (!ofResource) appsByResource.set(app.resourceKey, (ofResource = new IntervalList()))
    ofResource.add(app)
    if (!appByKey.has(app.ownKey)) appByKey.set(app.ownKey, app)
    if (app.parentKey !== '') put(appsByParent, app.parentKey, app)
    if (app.peer !== '') put(appsByPeer, app.peer, app)
  }

  function removeApp(app: AppSpan): void {
    take(appsByTrace, app.traceKey, app)
    if (appByKey.get(app.ownKey) === app) appByKey.delete(app.ownKey)
    take(appsByParent, app.parentKey, app)
    take(appsByPeer, app.peer, app)
  }

  function addSight(sight: SightSpan): void {
    let exchange: Exchange | undefined
    for (const known of exchangesByKey.get(sight.exchangeKey) ?? none) {
      if (known.members.length < mostSights && known.fits(sight)) exchange = known
      if (exchange) break
    }
    if (!exchange) {
      exchange = new Exchange(sight.exchangeKey)
      bareExchanges++
      put(exchangesByKey, sight.exchangeKey, exchange)
    }
    exchange.add(sight)
    if (exchange.members.length > 1 && exchange.isProvenTcp) {
      exchange.forEachCrossing(sight, (crossing: Crossing) => clocks.see(crossing, sight.arrivedMs))
    }
    if (exchange.isBare && exchange.headers.length > 0) {
      exchange.isBare = false
      bareExchanges--
    }
    for (const header of exchange.headers) {
      putCarrier(exchangesByHeader, header.key, exchange)
      put(exchangesByTrace, header.traceKey, exchange)
    }
    for (const id of exchange.requestIds) putCarrier(exchangesByRequestId, id, exchange)
    for (const { key } of exchange.received) put(exchangesByMessage, key, exchange)
    if (sight.process !== '') addToProcess(sight)
  }

  function addToProcess(sight: SightSpan): void {
    let history = processes.get(sight.process)
    if (!history) {
      history = createProcessHistory()
      processes.set(sight.process, history)
      processesByPid.add(sight)
    }
    history.add(sight)
    if (sight.point === 's-p') put(servedByPeer, sight.peer, sight)
  }

  /** An exchange leaves whole, so what goes with its first sight goes for all. */
  function removeSight(sight: SightSpan): void {
    const { exchange } = sight
    if (exchange && take(exchangesByKey, exchange.key, exchange)) {
      if (exchange.isBare) bareExchanges--
      for (const id of exchange.requestIds) takeCarrier(exchangesByRequestId, id, exchange)
      for (const { key } of exchange.received) take(exchangesByMessage, key, exchange)
      for (const header of exchange.headers) {
        takeCarrier(exchangesByHeader, header.key, exchange)
        take(exchangesByTrace, header.traceKey, exchange)
      }
    }
    if (sight.point === 's-p') take(servedByPeer, sight.peer, sight)
  }

  function forgetServedBefore(time: number): void {
    version++
    hints.forgetBefore(time)
    for (const [key, history] of processes) {
      if (history.forgetBefore(time)) continue
      processes.delete(key)
      processesByPid.remove(key)
    }
    for (const [key, apps] of appsByResource) {
      apps.keep(({ isReleased }) => !isReleased)
      if (apps.size === 0) appsByResource.delete(key)
    }
  }

  function earlierOf(held: Held): Held | undefined {
    if (held.layer === 'app') {
      const known = appByKey.get(held.ownKey)
      const isSame =
        known?.start === held.start && known.side === held.side && known.resourceKey === held.resourceKey
      return isSame ? known : undefined
    }
    for (const exchange of exchangesByKey.get(held.exchangeKey) ?? none) {
      for (const known of exchange.members) {
        const isAlike =
          known.start === held.start && known.point === held.point && known.hostId === held.hostId
        if (isAlike && known.span.spanId === held.span.spanId) return known
      }
    }
    return undefined
  }

  function replace(earlier: Held, held: Held): void {
    version++
    if (earlier.layer === 'app') {
      removeApp(earlier)
      appsByResource.get(earlier.resourceKey)?.remove(earlier)
      if (held.layer === 'app') addApp(held)
      return
    }
    const { exchange } = earlier
    if (!exchange || held.layer === 'app') return
    exchange.replace(earlier, held)
    for (const { key } of exchange.headers) forgetNesting(exchangesByHeader.get(key))
    for (const id of exchange.requestIds) forgetNesting(exchangesByRequestId.get(id))
    if (earlier.process === '') return
    processes.get(earlier.process)?.remove(earlier)
    if (earlier.point === 's-p') take(servedByPeer, earlier.peer, earlier)
    addToProcess(held)
  }

  function isTraceFull(held: Held, limit: number): boolean {
    if (held.layer === 'app') return (appsByTrace.get(held.traceKey)?.size ?? 0) >= limit
    return held.headers.some(({ traceKey }) => (exchangesByTrace.get(traceKey)?.size ?? 0) >= limit)
  }

  function forgetOrder(): void {
    version++
    for (const exchanges of exchangesByKey.values()) for (const exchange of exchanges) exchange.forgetOrder()
    for (const carriers of exchangesByHeader.values()) forgetNesting(carriers)
    for (const carriers of exchangesByRequestId.values()) forgetNesting(carriers)
  }

  return {
    earlierOf,
    replace,
    isTraceFull,
    forgetOrder,
    get traceCount() {
      return appsByTrace.size + bareExchanges
    },
    add(held) {
      version++
      if (held.layer === 'app') addApp(held)
      else addSight(held)
    },
    remove: held => (held.layer === 'app' ? removeApp(held) : removeSight(held)),
    forgetServedBefore,
    appsByTrace,
    appByKey,
    appsByParent,
    appsByResource,
    appsByPeer,
    exchangesByHeader,
    exchangesByTrace,
    exchangesByRequestId,
    exchangesByMessage,
    servedByPeer,
    processes,
    processesByPid,
    bindings: {
      ...bindings,
      bind(resourceKey, process) {
        if (bindings.processesOf(resourceKey).has(process)) return
        version++
        bindings.bind(resourceKey, process)
      },
    },
    hints: {
      ...hints,
      add(hint) {
        version++
        hints.add(hint)
      },
    },
    get version() {
      return version
    },
  }
}

function put<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const known = map.get(key)
  if (known) known.add(value)
  else map.set(key, new Set([value]))
}

function take<T>(map: Map<string, Set<T>>, key: string, value: T): boolean {
  const known = map.get(key)
  if (!known?.delete(value)) return false
  if (known.size === 0) map.delete(key)
  return true
}

function putCarrier(map: Map<string, Carriers>, key: string, exchange: Exchange): void {
  let known = map.get(key)
  if (!known) map.set(key, (known = new Carriers()))
  known.nesting = undefined
  known.add(exchange)
}

function takeCarrier(map: Map<string, Carriers>, key: string, exchange: Exchange): void {
  const known = map.get(key)
  if (!known?.delete(exchange)) return
  known.nesting = undefined
  if (known.size === 0) map.delete(key)
}

const none: readonly Exchange[] = []

/** No request passes so many points: the comparison of all sights of an exchange with all stays bounded. */
const mostSights = 250

function forgetNesting(carriers: Carriers | undefined): void {
  if (carriers) carriers.nesting = undefined
}
