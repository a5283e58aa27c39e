import { names } from '../../../model/attribute-names.ts'
import { Carriers, type Exchange } from '../exchange.ts'

/**
 * Exchanges that carry the same key, as a tree by time and process: a pass-through gateway's outgoing exchange lies inside its
 * incoming one. Undefined where there is more than one outermost exchange, and they are no tries of one call: then the key says
 * nothing about who caused whom (the fixed header of a health check), and is demoted.
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
  if (exchanges.size === 1) return new Map([...exchanges].map(only => [only, undefined]))
  const sorted = [...exchanges].sort((a, b) => a.startByReference - b.startByReference)
  const parents = new Map<Exchange, Exchange | undefined>()
  const roots: Exchange[] = []
  for (const inner of sorted) {
    const around = sorted.filter(candidate => candidate.encloses(inner) && mayCall(candidate, inner))
    const outer = around.at(-1)
    const next = around.at(-2)
    // Two that it lies in, side by side: either could have caused it.
    if (outer && next && !next.encloses(outer)) return undefined
    parents.set(inner, outer)
    if (!outer) roots.push(inner)
    if (roots.length > mostTries) return undefined
  }
  return roots.length === 1 || areTries(roots) ? parents : undefined
}

/**
 * The process that served the outer one must be the one that called, where both are known; else its host must be, and a call
 * between the same two ends is another request, not one that the first caused.
 */
function mayCall(outer: Exchange, inner: Exchange): boolean {
  const server = outer.server?.process
  const client = inner.client?.process
  if (server !== undefined && client !== undefined) return server === client
  const served = outer.hostOf('s')
  const called = inner.hostOf('c')
  if (served !== undefined && called !== undefined && served !== called) return false
  return endsOf(outer) !== endsOf(inner)
}

function endsOf({ key, head: { span } }: Exchange): string {
  const server = span.text(names.serverAddress)
  if (server === '') return key
  return `${span.text(names.clientAddress)} ${server} ${span.number(names.serverPort) ?? 0}`
}

/**
 * One call, tried again: by the same process, one after the other, each but the last without success. A health check's fixed header
 * comes again because it went well.
 */
function areTries(roots: readonly Exchange[]): boolean {
  return roots.every((next, at) => {
    const before = roots[at - 1]
    if (!before) return next.client !== undefined
    const isSameCaller = next.client !== undefined && next.client.process === before.client?.process
    return isSameCaller && before.isFailed && before.head.end <= next.head.start
  })
}

/** More exchanges than this never carry the id of one request: the comparison of all with all stays bounded. */
const mostCarriers = 100

const mostTries = 10
