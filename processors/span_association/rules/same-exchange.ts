import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { agree } from './agreement.ts'

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
  isTaken: (span: AppSpan | SightSpan) => boolean,
): SameExchangeRule {
  function sightOf(app: AppSpan): SameExchange | undefined {
    const byPort = sightByPort(app)
    if (byPort) return { sight: byPort, confidence: 1, evidence: 'ephemeral peer port' }
    if (app.side === 'internal' || isTaken(app)) return undefined
    const sights = sightsFor(app)
    if (sights.length !== 1) return undefined
    const [sight] = sights
    if (!sight || appsFor(sight).length !== 1) return undefined
    return { sight, confidence: 0.9, evidence: 'only candidate by peer, operation and time' }
  }

  function appOf(sight: SightSpan): ({ readonly app: AppSpan } & Omit<SameExchange, 'sight'>) | undefined {
    const matches = appsNear(sight).filter(app => sightOf(app)?.sight === sight)
    const [app] = matches
    const found = matches.length === 1 && app ? sightOf(app) : undefined
    return found && app ? { app, confidence: found.confidence, evidence: found.evidence } : undefined
  }

  /** The one server's sight whose far end is the address and port that the APP span names as its peer. */
  function sightByPort(app: AppSpan): SightSpan | undefined {
    const served = app.peer === '' ? undefined : index.servedByPeer.get(app.peer)
    if (!served) return undefined
    const sights = [...served].filter(sight => overlap(app, sight) && agree(app, sight))
    return sights.length === 1 ? sights[0] : undefined
  }

  function sightsFor(app: AppSpan): SightSpan[] {
    const found: SightSpan[] = []
    for (const process of index.bindings.processesOf(app.resourceKey)) {
      const history = index.processes.get(process)
      if (!history) continue
      const sights = app.side === 'client' ? history.called : history.served
      for (const sight of sights.overlapping(app.start - toleranceNs, app.end + toleranceNs)) {
        if (!sight.isReleased && !isTaken(sight) && agree(app, sight)) found.push(sight)
      }
    }
    return found
  }

  function appsFor(sight: SightSpan): AppSpan[] {
    return appsNear(sight).filter(app => !isTaken(app) && agree(app, sight))
  }

  function appsNear(sight: SightSpan): AppSpan[] {
    const side = sight.point === 'c-p' ? 'client' : 'server'
    const found: AppSpan[] = []
    const consider = (app: AppSpan) => {
      if (app.side === side && !app.isReleased && overlap(app, sight) && !found.includes(app)) found.push(app)
    }
    if (side === 'server') index.appsByPeer.get(sight.peer)?.forEach(consider)
    for (const resource of index.bindings.resourcesOf(sight.process)) {
      const near = index.appsByResource.get(resource)
      near?.overlapping(sight.start - toleranceNs, sight.end + toleranceNs).forEach(consider)
    }
    return found
  }

  return { sightOf, appOf }
}

function overlap(app: AppSpan, sight: SightSpan): boolean {
  return sight.start <= app.end + toleranceNs && app.start <= sight.end + toleranceNs
}

const toleranceNs = 1e6
