import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { agree } from './agreement.ts'
import { memoised } from './memoised.ts'

/**
 * Rule 2: an APP span and the SYS span of the same process are the same exchange.
 *
 * Fires for a SERVER (Entry) span and an `s-p`, a CLIENT (Exit) span and a `c-p`, of one process, when peer, operation and
 * status agree as far as both know them, they overlap within 1 ms (SDKs start spans at whole milliseconds), and each is the only
 * candidate of the other. An ephemeral peer port that both know is proof and needs no binding. What could fool it: two equal calls at
 * the same time (then there are two candidates, and nothing is claimed), and clocks of the SDK that drift from the kernel's.
 */
export interface SameExchangeRule {
  sightOf(app: AppSpan): SameExchange | undefined
  appOf(sight: SightSpan): ({ readonly app: AppSpan } & Omit<SameExchange, 'sight'>) | undefined
}

export interface SameExchange {
  readonly sight: SightSpan
  readonly confidence: number
  readonly evidence: string
}

export function sameExchangeRule(
  index: SpanIndex,
  isProven: (span: AppSpan | SightSpan) => boolean,
): SameExchangeRule {
  const isTaken = memoised(index, isProven)
  const sightOf = memoised(index, findSight)
  const appOf = memoised(index, findApp)

  function findSight(app: AppSpan): SameExchange | undefined {
    const byPort = sightByPort(app)
    if (byPort) return { sight: byPort, confidence: 1, evidence: 'ephemeral peer port' }
    if (app.side === 'internal' || isTaken(app)) return undefined
    const sights = sightsFor(app)
    if (sights.length !== 1) return undefined
    const [sight] = sights
    if (!sight || appsFor(sight).length !== 1) return undefined
    return { sight, confidence: 0.9, evidence: 'only candidate by peer, operation and time' }
  }

  function findApp(sight: SightSpan): ({ readonly app: AppSpan } & Omit<SameExchange, 'sight'>) | undefined {
    const matches: AppSpan[] = []
    forEachNear(sight, near => {
      // Those that do not agree cost a comparison; to ask whose the others are, a search.
      if (agree(near, sight) && !matches.includes(near) && sightOf(near)?.sight === sight) matches.push(near)
      return matches.length > 1
    })
    const [app] = matches
    const found = matches.length === 1 && app ? sightOf(app) : undefined
    return found && app ? { app, confidence: found.confidence, evidence: found.evidence } : undefined
  }

  /** The one server's sight whose far end is the address and port that the APP span names as its peer. */
  function sightByPort(app: AppSpan): SightSpan | undefined {
    const served = app.peer === '' ? undefined : index.servedByPeer.get(app.peer)
    if (!served) return undefined
    let only: SightSpan | undefined
    for (const sight of served) {
      if (!overlap(app, sight) || !agree(app, sight)) continue
      if (only) return undefined
      only = sight
    }
    return only
  }

  function sightsFor(app: AppSpan): SightSpan[] {
    const found: SightSpan[] = []
    for (const process of index.bindings.processesOf(app.resourceKey)) {
      const history = index.processes.get(process)
      if (!history) continue
      const sights = app.side === 'client' ? history.called : history.served
      sights.someOverlapping(app.start - toleranceNs, app.end + toleranceNs, sight => {
        if (!sight.isReleased && agree(app, sight) && !isTaken(sight)) found.push(sight)
        return found.length > 1
      })
    }
    return found
  }

  /** At most two: more say nothing more. */
  function appsFor(sight: SightSpan): AppSpan[] {
    const found: AppSpan[] = []
    forEachNear(sight, app => {
      if (agree(app, sight) && !isTaken(app) && !found.includes(app)) found.push(app)
      return found.length > 1
    })
    return found
  }

  /** APP spans of its process that overlap it, also more than once, until `visit` says true. */
  function forEachNear(sight: SightSpan, visit: (app: AppSpan) => boolean): void {
    const side = sight.point === 'c-p' ? 'client' : 'server'
    const consider = (app: AppSpan) =>
      app.side === side && !app.isReleased && overlap(app, sight) && visit(app)
    if (side === 'server')
      for (const app of index.appsByPeer.get(sight.peer) ?? none) if (consider(app)) return
    for (const resource of index.bindings.resourcesOf(sight.process)) {
      const near = index.appsByResource.get(resource)
      if (near?.someOverlapping(sight.start - toleranceNs, sight.end + toleranceNs, consider)) return
    }
  }

  return { sightOf, appOf }
}

function overlap(app: AppSpan, sight: SightSpan): boolean {
  return sight.start <= app.end + toleranceNs && app.start <= sight.end + toleranceNs
}

const none: readonly AppSpan[] = []

const toleranceNs = 1e6
