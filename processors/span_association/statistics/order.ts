import type { Model } from './model.ts'
import { encloses, type Scene } from './scene.ts'

/**
 * Whether a process serves in order. Where two requests wait for the same kind of call, independent delays let the later one overtake now and
 * then; an event loop or a queue does not. How much rarer overtaking is than independent delays would have it is learnt for each
 * kind of request and call, as log odds, and then costs as much. 0 where order means nothing.
 *
 * What a call waits for is its request's start, or the end of the call that it follows in most requests, where that tells more.
 */
export interface Order {
  /** What this assignment of `calls` to `request` costs by overtaking; pairs with calls of `not` are left out. */
  cost(scene: Scene, request: number, calls: readonly number[], not: number): number
  /** What the assignment of these calls costs by overtaking, each pair once. `isInGroup`: a flag for each call. */
  costOfGroup(scene: Scene, group: readonly number[], isInGroup: Uint8Array): number
  /** To be told where the calls of a request now are. */
  place(scene: Scene, request: number, calls: readonly number[]): void
  /** Learns from the scene's assignment, beside what was settled. */
  learn(scene: Scene, model: Model, random: () => number): void
  /** Keeps what the last `learn` saw of these calls (a flag for each) for good. */
  settle(isDecided: Uint8Array): void
  readonly isEmpty: boolean
}

/** Call `kind` of requests of `requestKind` waits for the end of another call of the same request (-1: for the request). */
export type WaitsFor = (requestKind: number, kind: number) => number

export function createOrder(waitsFor: WaitsFor): Order {
  /** Log odds against overtaking. */
  const odds = new Map<number, number>()
  const settled = new Map<number, Pairs>()
  let seen: Pair[] = []
  let hasLearnt = false
  let waitedSince = new Float64Array(0)

  const keyOf = (requestKind: number, kind: number) => requestKind * 4096 + kind
  const oddsOf = (scene: Scene, request: number, call: number) =>
    odds.get(keyOf(scene.requests[request]!.kind, scene.calls[call]!.kind)) ?? (hasLearnt ? 0 : supposed)

  function reference(scene: Scene, request: number, calls: readonly number[], call: number): number {
    const { kind, start } = scene.requests[request]!
    const awaited = waitsFor(kind, scene.calls[call]!.kind)
    if (awaited < 0) return start
    for (const other of calls) if (scene.calls[other]!.kind === awaited) return scene.calls[other]!.end
    return start
  }

  function cost(scene: Scene, request: number, calls: readonly number[], not: number): number {
    let sum = 0
    for (const call of calls) {
      const against = oddsOf(scene, request, call)
      if (against === 0) continue
      const since = reference(scene, request, calls, call)
      const requestKind = scene.requests[request]!.kind
      const first = scene.calls[call]!.start
      const ofKind = scene.callsOfKind[scene.calls[call]!.kind]!
      const rank = scene.rankInKind[call]!
      const last = Math.min(ofKind.length - 1, rank + reach)
      for (let at = Math.max(0, rank - reach); at <= last; at++) {
        const other = ofKind[at]!
        const cause = scene.causes[other]!
        if (cause < 0 || cause === request || cause === not) continue
        if (scene.requests[cause]!.kind !== requestKind) continue
        const second = scene.calls[other]!.start
        const otherSince = waitedSince[other]!
        if (first === second || since === otherSince) continue
        if (Math.max(since, otherSince) > Math.min(first, second)) continue
        if (first < second !== since < otherSince) sum += against
      }
    }
    return sum
  }

  function costOfGroup(scene: Scene, group: readonly number[], isInGroup: Uint8Array): number {
    let sum = 0
    for (const call of group) {
      const request = scene.causes[call]!
      const against = request < 0 ? 0 : oddsOf(scene, request, call)
      if (against === 0) continue
      for (const other of neighbours(scene, call)) {
        if (isInGroup[other] && other < call) continue
        if (areComparable(scene, call, other) && isOvertaking(scene, call, other)) sum += against
      }
    }
    return sum
  }

  function isOvertaking({ calls }: Scene, call: number, other: number): boolean {
    return calls[call]!.start < calls[other]!.start !== waitedSince[call]! < waitedSince[other]!
  }

  function place(scene: Scene, request: number, calls: readonly number[]): void {
    if (waitedSince.length < scene.calls.length) {
      const larger = new Float64Array(scene.calls.length)
      larger.set(waitedSince)
      waitedSince = larger
    }
    for (const call of calls) waitedSince[call] = reference(scene, request, calls, call)
  }

  function learn(scene: Scene, model: Model, random: () => number): void {
    const waits = waitsByKey(scene)
    seen = []
    for (let call = 0; call < scene.calls.length; call++) {
      const request = scene.causes[call]!
      if (request < 0) continue
      const key = keyOf(scene.requests[request]!.kind, scene.calls[call]!.kind)
      for (const other of neighbours(scene, call)) {
        if (other < call || !areComparable(scene, call, other)) continue
        const overtaken = chanceOfOvertaking(scene, model, {
          call,
          other,
          against: odds.get(key) ?? (hasLearnt ? 0 : supposed),
        })
        const between = Math.abs(waitedSince[call]! - waitedSince[other]!)
        const byChance = chanceAmong(waits.get(key) ?? [], between, random)
        seen.push({ key, call, other, overtaken, byChance })
      }
    }
    const all = new Map<number, Pairs>()
    for (const [key, { overtaken, byChance }] of settled) all.set(key, { overtaken, byChance: [...byChance] })
    for (const pair of seen) addPair(all, pair)
    odds.clear()
    hasLearnt = true
    for (const [key, pairs] of all) {
      const against = pairs.byChance.length < fewestPairs ? 0 : oddsAgainst(pairs)
      if (against > 0.1) odds.set(key, against)
    }
  }

  function settle(isDecided: Uint8Array): void {
    for (const pair of seen) if (isDecided[pair.call] && isDecided[pair.other]) addPair(settled, pair)
    for (const pairs of settled.values()) {
      const tooMany = pairs.byChance.length - mostPairs
      if (tooMany <= 0) continue
      pairs.overtaken *= mostPairs / pairs.byChance.length
      pairs.byChance.splice(0, tooMany)
    }
    seen = []
  }

  function areComparable(scene: Scene, call: number, other: number): boolean {
    const request = scene.causes[call]!
    const cause = scene.causes[other]!
    if (cause < 0 || cause === request) return false
    if (scene.requests[cause]!.kind !== scene.requests[request]!.kind) return false
    const since = waitedSince[call]!
    const otherSince = waitedSince[other]!
    const first = Math.min(scene.calls[call]!.start, scene.calls[other]!.start)
    return (
      scene.calls[call]!.start !== scene.calls[other]!.start &&
      since !== otherSince &&
      Math.max(since, otherSince) <= first
    )
  }

  /** Whether the later request went first here: 0 or 1, or how likely that is if the two calls could be the other way round. */
  function chanceOfOvertaking(
    scene: Scene,
    model: Model,
    { call, other, against }: { call: number; other: number; against: number },
  ): number {
    const isOvertaken = isOvertaking(scene, call, other)
    const request = scene.causes[call]!
    const cause = scene.causes[other]!
    const canSwap =
      encloses(scene.requests[request]!, scene.calls[other]!) &&
      encloses(scene.requests[cause]!, scene.calls[call]!)
    if (!canSwap) return isOvertaken ? 1 : 0
    const ours = scene.callsOf[request]!
    const theirs = scene.callsOf[cause]!
    const gain =
      model.score(scene, request, replaced(ours, call, other)) +
      model.score(scene, cause, replaced(theirs, other, call)) -
      model.score(scene, request, ours) -
      model.score(scene, cause, theirs) +
      (isOvertaken ? against : -against)
    const swapped = 1 / (1 + Math.exp(-gain))
    return isOvertaken ? 1 - swapped : swapped
  }

  /** How long calls of each kind waited, sorted. */
  function waitsByKey(scene: Scene): Map<number, number[]> {
    const waits = new Map<number, number[]>()
    for (let call = 0; call < scene.calls.length; call++) {
      const request = scene.causes[call]!
      if (request < 0) continue
      const key = keyOf(scene.requests[request]!.kind, scene.calls[call]!.kind)
      const wait = scene.calls[call]!.start - waitedSince[call]!
      const known = waits.get(key)
      if (known) known.push(wait)
      else waits.set(key, [wait])
    }
    for (const list of waits.values()) list.sort((a, b) => a - b)
    return waits
  }

  return {
    cost,
    costOfGroup,
    place,
    learn,
    settle,
    get isEmpty() {
      return hasLearnt && odds.size === 0
    },
  }
}

/** Two calls of one kind whose requests waited at the same time: whether the later one went first, and how likely that is by chance. */
interface Pair {
  readonly key: number
  readonly call: number
  readonly other: number
  readonly overtaken: number
  readonly byChance: number
}

interface Pairs {
  overtaken: number
  readonly byChance: number[]
}

function addPair(to: Map<number, Pairs>, { key, overtaken, byChance }: Pair): void {
  const pairs = to.get(key)
  if (pairs) {
    pairs.overtaken += overtaken
    pairs.byChance.push(byChance)
  } else to.set(key, { overtaken, byChance: [byChance] })
}

/** The past counts as at most this many pairs. */
const mostPairs = 500

/** Pairs are formed with this many calls of the same kind on each side. */
const reach = 8
const fewestPairs = 10
const mostOdds = 6
/** Before anything is known. */
const supposed = 2

function* neighbours({ callsOfKind, rankInKind, calls }: Scene, call: number): Iterable<number> {
  const ofKind = callsOfKind[calls[call]!.kind]!
  const rank = rankInKind[call]!
  const last = Math.min(ofKind.length - 1, rank + reach)
  for (let at = Math.max(0, rank - reach); at <= last; at++) if (at !== rank) yield ofKind[at]!
}

function replaced(calls: readonly number[], old: number, by: number): number[] {
  return calls.map(call => (call === old ? by : call)).sort((a, b) => a - b)
}

/** Of two independent waits, the first longer than `between`: how often is it longer by more than that? */
function chanceAmong(waits: readonly number[], between: number, random: () => number): number {
  const from = firstAbove(waits, between)
  const count = waits.length - from
  if (count === 0) return 0.5
  let later = 0
  for (let draw = 0; draw < draws; draw++) {
    const gap = waits[from + Math.floor(random() * count)]! - waits[Math.floor(random() * waits.length)]!
    later += gap > between ? 1 : gap === between ? 0.5 : 0
  }
  return (later + 0.25) / (draws + 0.5)
}

const draws = 24

function firstAbove(sorted: readonly number[], value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}

/** The log odds that make the expected number of overtakings equal to the one seen (maximum likelihood), drawn towards 0 by two pairs. */
function oddsAgainst({ overtaken, byChance }: Pairs): number {
  const target = overtaken + 0.8
  const all = [...byChance, 0.4, 0.4]
  let low = 0
  let high = mostOdds
  for (let step = 0; step < 25; step++) {
    const odds = (low + high) / 2
    const weight = Math.exp(-odds)
    let expected = 0
    for (const chance of all) expected += (weight * chance) / (1 - chance + weight * chance)
    if (expected > target) low = odds
    else high = odds
  }
  return low
}
