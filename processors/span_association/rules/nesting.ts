import { Carriers, type Exchange } from '../exchange.ts'

/**
 * Exchanges that carry the same key, as a tree by time and process: a pass-through gateway's outgoing exchange lies inside its
 * incoming one. Undefined where there is more than one outermost exchange: then the key says nothing about who caused whom
 * (the fixed header of a health check), and is demoted.
 */
export function nestByTime(
  exchanges: ReadonlySet<Exchange>,
): ReadonlyMap<Exchange, Exchange | undefined> | undefined {
  if (!(exchanges instanceof Carriers)) return nest(exchanges)
  if (exchanges.nesting === undefined) exchanges.nesting = nest(exchanges) ?? null
  return exchanges.nesting ?? undefined
}

function nest(exchanges: ReadonlySet<Exchange>): Map<Exchange, Exchange | undefined> | undefined {
  if (exchanges.size > mostCarriers) return undefined
  const sorted = [...exchanges].sort((a, b) => a.head.start - b.head.start)
  const parents = new Map<Exchange, Exchange | undefined>()
  let roots = 0
  for (const inner of sorted) {
    const outer = sorted.filter(candidate => candidate.encloses(inner) && mayCall(candidate, inner)).at(-1)
    parents.set(inner, outer)
    if (!outer && ++roots > 1) return undefined
  }
  return parents
}

/** The process that served the outer one must be the one that called, where both are known. */
function mayCall(outer: Exchange, inner: Exchange): boolean {
  const server = outer.server?.process
  const client = inner.client?.process
  return server === undefined || client === undefined || server === client
}

/** More exchanges than this never carry the id of one request: the comparison of all with all stays bounded. */
const mostCarriers = 100
