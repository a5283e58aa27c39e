/** A host's clock against that of the reference host of its group. Shared by all spans of the host, and kept up to date. */
export interface HostClock {
  readonly hostId: string
  /** What it shows too much, ns; 0 where nothing is known. */
  offsetNs: number
  /** The offset is right within this, ns; Infinity where nothing is known, 0 for the reference. */
  uncertaintyNs: number
  /** The host whose clock is taken as right, for all hosts that can be compared; '' where none can. */
  reference: string
}

/** Two sights of one exchange, proven to be, at two hosts, in the order in which the request passed them. */
export interface Crossing {
  readonly from: HostClock
  readonly to: HostClock
  /** Each by its own clock, ns: request passes `from`, then `to`. */
  readonly requestLeftNs: number
  readonly requestCameNs: number
  /** Response passes `to`, then `from`. */
  readonly responseLeftNs: number
  readonly responseCameNs: number
}

/**
 * Offsets between the clocks of hosts, from exchanges that sequence numbers and hashes prove to be seen at both: a request cannot
 * come before it left, nor a response, which bounds the difference from both sides (as NTP does, RFC 5905 §8). The
 * exchanges with the least delay bound it best; they are taken over the last minute, in slices, so that drift is followed:
 * slices count from the newest back as long as they agree. Offsets add up along the surest path to the host with the least id.
 */
export interface Clocks {
  of(hostId: string): HostClock
  see(crossing: Crossing, nowMs: number): void
  /** Works out all offsets from what was seen; true if any changed by more than noise. */
  update(nowMs: number): boolean
  /** What is known of pairs of hosts: `to` shows that much more than `from`. */
  pairs(): Iterable<{ readonly from: string; readonly to: string } & Estimate>
}

export interface Estimate {
  readonly offsetNs: number
  readonly uncertaintyNs: number
}

export function createClocks(): Clocks {
  const hosts = new Map<string, HostClock>()
  const pairs = new Map<string, Pair>()
  let isStale = false

  function of(hostId: string): HostClock {
    let clock = hosts.get(hostId)
    if (!clock) {
      if (hosts.size >= mostHosts) hosts.delete(hosts.keys().next().value!)
      clock = { hostId, offsetNs: 0, uncertaintyNs: Infinity, reference: '' }
      hosts.set(hostId, clock)
    }
    return clock
  }

  function see(crossing: Crossing, nowMs: number): void {
    const isForward = crossing.from.hostId < crossing.to.hostId
    const [a, b] = isForward ? [crossing.from, crossing.to] : [crossing.to, crossing.from]
    const upper = crossing.requestCameNs - crossing.requestLeftNs
    const lower = crossing.responseLeftNs - crossing.responseCameNs
    if (lower > upper) return
    const key = `${a.hostId}|${b.hostId}`
    let pair = pairs.get(key)
    if (!pair) {
      if (pairs.size >= mostPairs) pairs.delete(pairs.keys().next().value!)
      pair = { from: a.hostId, to: b.hostId, slices: [] }
      pairs.set(key, pair)
    }
    const slice = sliceAt(pair.slices, nowMs)
    const [low, high] = isForward ? [lower, upper] : [-upper, -lower]
    slice.lower = Math.max(slice.lower, low)
    slice.upper = Math.min(slice.upper, high)
    isStale = true
  }

  function update(nowMs: number): boolean {
    if (!isStale) return false
    isStale = false
    const edges = new Map<string, Edge[]>()
    for (const [key, { from, to, slices }] of pairs) {
      while (slices[0] && nowMs - slices[0].atMs > windowMs) slices.shift()
      if (slices.length === 0) pairs.delete(key)
      const estimate = estimateOf(slices)
      if (!estimate) continue
      const { offsetNs, uncertaintyNs } = estimate
      addTo(edges, from, { to, offsetNs, uncertaintyNs })
      addTo(edges, to, { to: from, offsetNs: -offsetNs, uncertaintyNs })
    }
    let hasChanged = false
    const isDone = new Set<string>()
    for (const reference of [...edges.keys()].sort()) {
      if (isDone.has(reference)) continue
      for (const [hostId, { offsetNs, uncertaintyNs }] of surestPaths(reference, edges)) {
        isDone.add(hostId)
        const clock = of(hostId)
        const noiseNs = Math.max(leastNoiseNs, uncertaintyNs / 4)
        const isNews = clock.reference !== reference || Math.abs(clock.offsetNs - offsetNs) > noiseNs
        if (!isNews && clock.uncertaintyNs <= uncertaintyNs) continue
        hasChanged ||= isNews
        Object.assign(clock, { offsetNs, uncertaintyNs, reference })
      }
    }
    return hasChanged
  }

  function* known(): Iterable<{ from: string; to: string } & Estimate> {
    for (const { from, to, slices } of pairs.values()) {
      const estimate = estimateOf(slices)
      if (estimate) yield { from, to, ...estimate }
    }
  }

  return { of, see, update, pairs: known }
}

/** The clock that shows `ns` shows it by the reference's. */
export function byReference(ns: number, { offsetNs }: HostClock): number {
  return ns - offsetNs
}

/** Whether times of two hosts can be compared at all, and within what. */
export function comparableWithinNs(a: HostClock, b: HostClock): number {
  if (a === b || a.hostId === b.hostId) return 0
  if (a.reference === '' || a.reference !== b.reference) return Infinity
  return a.uncertaintyNs + b.uncertaintyNs
}

/** What two hosts' exchanges said within `sliceMs`: the difference lies between. */
interface Slice {
  readonly atMs: number
  lower: number
  upper: number
}

interface Pair {
  readonly from: string
  readonly to: string
  /** The oldest first. */
  readonly slices: Slice[]
}

interface Edge extends Estimate {
  readonly to: string
}

function sliceAt(slices: Slice[], nowMs: number): Slice {
  const last = slices.at(-1)
  if (last && nowMs - last.atMs < sliceMs) return last
  if (slices.length >= windowMs / sliceMs) slices.shift()
  const slice = { atMs: nowMs, lower: -Infinity, upper: Infinity }
  slices.push(slice)
  return slice
}

/** From the newest back, as long as they agree: what disagrees is older than the drift since then. */
function estimateOf(slices: readonly Slice[]): Estimate | undefined {
  let lower = -Infinity
  let upper = Infinity
  for (let at = slices.length - 1; at >= 0; at--) {
    const slice = slices[at]!
    const low = Math.max(lower, slice.lower)
    const high = Math.min(upper, slice.upper)
    // A little: sends are reported some 10 µs late. Much: the clock was set within the slice.
    if (low > high && at === slices.length - 1 && low - high < mostContradictionNs) {
      return { offsetNs: (low + high) / 2, uncertaintyNs: (low - high) / 2 }
    }
    if (low > high) break
    lower = low
    upper = high
  }
  if (!Number.isFinite(lower) || !Number.isFinite(upper)) return undefined
  return { offsetNs: (lower + upper) / 2, uncertaintyNs: (upper - lower) / 2 }
}

/** Dijkstra's algorithm over uncertainties; hosts are few. */
function surestPaths(
  reference: string,
  edges: ReadonlyMap<string, readonly Edge[]>,
): ReadonlyMap<string, Estimate> {
  const done = new Map<string, Estimate>()
  const open = new Map<string, Estimate>([[reference, { offsetNs: 0, uncertaintyNs: 0 }]])
  while (open.size > 0) {
    let [next, best] = [...open][0]!
    for (const [hostId, estimate] of open) {
      if (estimate.uncertaintyNs < best.uncertaintyNs) [next, best] = [hostId, estimate]
    }
    open.delete(next)
    done.set(next, best)
    for (const { to, offsetNs, uncertaintyNs } of edges.get(next) ?? []) {
      if (done.has(to)) continue
      const sum = best.uncertaintyNs + uncertaintyNs
      const known = open.get(to)
      if (!known || sum < known.uncertaintyNs) {
        open.set(to, { offsetNs: best.offsetNs + offsetNs, uncertaintyNs: sum })
      }
    }
  }
  return done
}

function addTo(edges: Map<string, Edge[]>, from: string, edge: Edge): void {
  const known = edges.get(from)
  if (known) known.push(edge)
  else edges.set(from, [edge])
}

const windowMs = 60_000
const sliceMs = 5000
const mostContradictionNs = 100_000
const mostHosts = 10_000
const mostPairs = 20_000
/** Offsets that differ by less are the same: NET sights are ordered within a host, SYS ones are some 10 µs late. */
const leastNoiseNs = 50_000
