import type { Model } from './model.ts'
import type { Order } from './order.ts'
import { encloses, requestsOfGroup, type Scene } from './scene.ts'

/**
 * Looks for the assignment of calls to requests that is likeliest as a whole, by chance (Metropolis): one call, all from one on, or all calls of two
 * requests change places, or a call moves; a change for the better is taken, one for the worse with the likelihood it leaves.
 * Left to itself at temperature 1 it visits assignments as often as they are likely, so how often a call had its cause is how sure that is.
 */
export interface Search {
  /** As many tries as there are free calls. At a higher temperature it strays further; at 0 it only improves. Gives its work. */
  sweep(temperature: number): number
  /** To be called when the model or the order has learnt. */
  rescore(): void
}

export interface SearchContext {
  readonly scene: Scene
  readonly model: Model
  readonly order: Order
  readonly random: () => number
  /** The calls to be placed. */
  readonly group: readonly number[]
}

export function createSearch({ scene, model, order, random, group }: SearchContext): Search {
  const { requests, calls, candidates, causes, callsOf, callsOfKind, rankInKind, isFree } = scene
  const scores = new Float64Array(requests.length)
  const touched = requestsOfGroup(scene, group)

  function rescore(): void {
    for (const request of touched) {
      scores[request] = model.score(scene, request, callsOf[request]!)
      order.place(scene, request, callsOf[request]!)
    }
  }

  let work = 0

  function sweep(temperature: number): number {
    const before = work
    for (let turn = 0; turn < group.length; turn++) {
      const call = group[Math.floor(random() * group.length)]!
      const chance = random()
      if (chance < 0.55) swapWithNeighbour(call, temperature)
      else if (chance < 0.97) offerTo(call, temperature)
      else letGo(call, temperature)
    }
    return work - before
  }

  /** Those that are mistaken for one another are near in time. */
  function swapWithNeighbour(call: number, temperature: number): void {
    const far = 1 + Math.floor(-3 * Math.log(1 - random()))
    const other = callsOfKind[calls[call]!.kind]![rankInKind[call]! + (random() < 0.5 ? far : -far)]
    if (other !== undefined && isFree[other] && causes[call]! >= 0)
      exchange(call, causes[other]!, other, temperature)
  }

  function offerTo(call: number, temperature: number): void {
    const possible = candidates[call]!
    const request = possible[Math.floor(random() * possible.length)]
    if (request === undefined) return
    const { kind } = calls[call]!
    const other = callsOf[request]!.find(its => calls[its]!.kind === kind && isFree[its])
    exchange(call, request, other, temperature)
  }

  /** `call` goes to `request`; what comes back instead is drawn: nothing or `other`, all from there on, or all. */
  function exchange(call: number, request: number, other: number | undefined, temperature: number): void {
    const from = causes[call]!
    if (request === from) return
    const ours = from < 0 ? [call] : callsOf[from]!
    const theirs = request < 0 ? (other === undefined ? [] : [other]) : callsOf[request]!
    const chance = random()
    if (chance < 0.25)
      move({ from, to: request, give: [call], take: other === undefined ? [] : [other] }, temperature)
    else if (chance < 0.4) move({ from, to: request, give: [call], take: [] }, temperature)
    else if (chance < 0.7) {
      const since = other ?? theirs.find(its => calls[its]!.start >= calls[call]!.start) ?? Infinity
      const give = ours.filter(its => its >= call && isFree[its])
      move({ from, to: request, give, take: theirs.filter(its => its >= since && isFree[its]) }, temperature)
    } else {
      const isMovable = (its: number) => isFree[its] === 1
      move({ from, to: request, give: ours.filter(isMovable), take: theirs.filter(isMovable) }, temperature)
    }
  }

  function letGo(call: number, temperature: number): void {
    if (causes[call]! >= 0) move({ from: causes[call]!, to: -1, give: [call], take: [] }, temperature)
  }

  function move({ from, to, give, take }: Move, temperature: number): void {
    if (!fits(to, give) || !fits(from, take)) return
    const ours = from < 0 ? none : without(callsOf[from]!, give, take)
    const theirs = to < 0 ? none : without(callsOf[to]!, take, give)
    work += 4 + workOf(ours.length) + workOf(theirs.length)
    const before =
      worthOf(from) + worthOf(to) + aloneWorth(from, give) + aloneWorth(to, take) - orderCost(from, to)
    const oursScore = from < 0 ? 0 : model.score(scene, from, ours)
    const theirsScore = to < 0 ? 0 : model.score(scene, to, theirs)
    const keptOurs = from < 0 ? none : callsOf[from]!
    const keptTheirs = to < 0 ? none : callsOf[to]!
    settle(from, to, { give, take, ours, theirs })
    const after =
      oursScore + theirsScore + aloneWorth(to, give) + aloneWorth(from, take) - orderCost(from, to)
    const gain = after - before
    if (gain >= 0 || (temperature > 0 && random() < Math.exp(gain / temperature))) {
      if (from >= 0) scores[from] = oursScore
      if (to >= 0) scores[to] = theirsScore
    } else settle(from, to, { give: take, take: give, ours: keptOurs, theirs: keptTheirs })
  }

  function settle(
    from: number,
    to: number,
    change: { give: readonly number[]; take: readonly number[]; ours: number[]; theirs: number[] },
  ): void {
    for (const call of change.give) causes[call] = to
    for (const call of change.take) causes[call] = from
    if (from >= 0) {
      callsOf[from] = change.ours
      if (!order.isEmpty) order.place(scene, from, change.ours)
    }
    if (to >= 0) {
      callsOf[to] = change.theirs
      if (!order.isEmpty) order.place(scene, to, change.theirs)
    }
  }

  function worthOf(request: number): number {
    return request < 0 ? 0 : scores[request]!
  }

  /** What calls are worth that no request causes. */
  function aloneWorth(request: number, some: readonly number[]): number {
    let sum = 0
    if (request < 0) for (const call of some) sum += model.scoreAlone(calls[call]!.kind)
    return sum
  }

  function orderCost(from: number, to: number): number {
    if (order.isEmpty) return 0
    const ours = from < 0 ? 0 : order.cost(scene, from, callsOf[from]!, -1)
    return ours + (to < 0 ? 0 : order.cost(scene, to, callsOf[to]!, from))
  }

  function fits(request: number, some: readonly number[]): boolean {
    if (request < 0) return true
    for (const call of some) if (!encloses(requests[request]!, calls[call]!)) return false
    return true
  }

  rescore()
  return { sweep, rescore }
}

/** Of scoring a request with so many calls, each of which looks at those before it; about a third of a microsecond is 1. */
function workOf(calls: number): number {
  return (calls * (calls + 8)) / 8
}

interface Move {
  readonly from: number
  readonly to: number
  readonly give: readonly number[]
  readonly take: readonly number[]
}

const none: number[] = []

function without(list: readonly number[], gone: readonly number[], come: readonly number[]): number[] {
  const rest = list.filter(call => !gone.includes(call))
  for (const call of come) {
    let at = rest.length
    while (at > 0 && rest[at - 1]! > call) at--
    rest.splice(at, 0, call)
  }
  return rest
}
