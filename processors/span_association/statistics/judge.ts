import type { Model } from './model.ts'
import type { Order } from './order.ts'
import { requestsOfGroup, type Scene } from './scene.ts'
import { createSearch } from './search.ts'
import type { Steps } from './steps.ts'

/** A call's cause and how sure it is: the share of likelihood of all assignments in which it has this one. -1: none. */
export interface Verdict {
  readonly call: number
  readonly cause: number
  readonly confidence: number
  /** Other causes with their shares, the likeliest first. */
  readonly others: readonly { readonly cause: number; readonly confidence: number }[]
}

/** Places the calls of one group (those that share candidates, directly or through others). */
export interface Judge {
  /** Puts the calls where they could be, each assignment as often as it is likely: one possible truth to learn from. */
  draw(sweeps: number): Steps<void>
  /** Puts them where they are likeliest as a whole, and says how sure each is. */
  decide(sweeps: number): Steps<Verdict[]>
  /** To be called when model or order has learnt. */
  renew(): void
}

export interface JudgeContext {
  readonly scene: Scene
  readonly model: Model
  readonly order: Order
  readonly random: () => number
  readonly group: readonly number[]
}

/**
 * Confidence is read at this temperature, that is with log likelihoods less than half as far apart: the distributions are learnt and delays are not quite
 * independent, so margins are less than they seem. Measured on public data, links then are right at least as often as they say.
 */
const doubt = 2.5

export function createJudge(context: JudgeContext): Judge {
  const { scene, group } = context
  let assignments = 1
  for (const call of group)
    assignments = Math.min(assignments * (scene.candidates[call]!.length + 1), Infinity)
  return assignments <= mostAssignments ? judgeExactly(context) : judgeByChance(context)
}

/** Up to here all assignments are looked at one by one; beyond, chance visits as many as time allows. */
const mostAssignments = 128

function judgeExactly({ scene, model, order, random, group }: JudgeContext): Judge {
  const { candidates, causes, callsOf, calls } = scene
  const touched = requestsOfGroup(scene, group)
  const fixed = touched.map(request => callsOf[request]!.filter(call => !scene.isFree[call]))
  const isInGroup = new Uint8Array(calls.length)
  for (const call of group) isInGroup[call] = 1
  const assignments = group.reduce<number[][]>(
    (all, call) => all.flatMap(chosen => [-1, ...candidates[call]!].map(choice => [...chosen, choice])),
    [[]],
  )
  let logs: number[] = []

  function renew(): void {
    const scores = new Map<number, number>()
    const now = group.map(call => causes[call]!)
    logs = assignments.map(chosen => {
      let log = 0
      for (const [at, call] of group.entries())
        if (chosen[at]! < 0) log += model.scoreAlone(calls[call]!.kind)
      for (let at = 0; at < touched.length; at++) log += scoreWith(at, chosen, scores)
      if (order.isEmpty) return log
      put(chosen)
      return log - order.costOfGroup(scene, group, isInGroup)
    })
    put(now)
  }

  /** The score of a request with what it gets by `chosen`; each is worked out once. */
  function scoreWith(at: number, chosen: readonly number[], scores: Map<number, number>): number {
    const request = touched[at]!
    let mask = 0
    for (let of = 0; of < chosen.length; of++) if (chosen[of] === request) mask |= 1 << of
    const key = at * 2 ** group.length + mask
    let score = scores.get(key)
    if (score === undefined) {
      const own = [...fixed[at]!, ...group.filter((_, of) => mask & (1 << of))]
      scores.set(
        key,
        (score = model.score(
          scene,
          request,
          own.sort((a, b) => a - b),
        )),
      )
    }
    return score
  }

  function put(causesOfGroup: readonly number[]): void {
    for (const [at, request] of touched.entries()) callsOf[request] = [...fixed[at]!]
    for (const [at, call] of group.entries()) {
      const cause = causesOfGroup[at]!
      causes[call] = cause
      if (cause >= 0) callsOf[cause]!.push(call)
    }
    for (const request of touched) {
      callsOf[request]!.sort((a, b) => a - b)
      order.place(scene, request, callsOf[request]!)
    }
  }

  function* draw(): Steps<void> {
    yield assignments.length
    const shares = sharesOf(logs, 1)
    let left = random()
    let at = 0
    while (at < shares.length - 1 && (left -= shares[at]!) > 0) at++
    put(assignments[at]!)
  }

  function* decide(): Steps<Verdict[]> {
    yield assignments.length
    const shares = sharesOf(logs, doubt)
    const best = logs.indexOf(Math.max(...logs))
    put(assignments[best]!)
    return group.map((call, at) => {
      const tally = new Map<number, number>()
      for (const [which, chosen] of assignments.entries()) {
        tally.set(chosen[at]!, (tally.get(chosen[at]!) ?? 0) + shares[which]!)
      }
      return verdictOf(call, causes[call]!, tally)
    })
  }

  renew()
  return { draw, decide, renew }
}

function sharesOf(logs: readonly number[], temperature: number): number[] {
  const most = Math.max(...logs)
  const weights = logs.map(log => Math.exp((log - most) / temperature))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map(weight => weight / sum)
}

function judgeByChance(context: JudgeContext): Judge {
  const { scene, group } = context
  const { causes, callsOf } = scene
  const touched = requestsOfGroup(scene, group)
  const search = createSearch(context)

  function* decide(sweeps: number): Steps<Verdict[]> {
    for (let sweep = 0; sweep < 2 * sweeps; sweep++) yield search.sweep(1 - (sweep + 1) / (2 * sweeps))
    const best = group.map(call => causes[call]!)
    const bestCalls = touched.map(request => callsOf[request]!)
    const tallies = group.map(() => new Map<number, number>())
    for (let sweep = 0; sweep < sweeps; sweep++) {
      yield search.sweep(doubt)
      for (const [at, call] of group.entries()) {
        const cause = causes[call]!
        tallies[at]!.set(cause, (tallies[at]!.get(cause) ?? 0) + 1 / sweeps)
      }
    }
    for (const [at, call] of group.entries()) causes[call] = best[at]!
    for (const [at, request] of touched.entries()) callsOf[request] = bestCalls[at]!
    search.rescore()
    return group.map((call, at) => verdictOf(call, causes[call]!, tallies[at]!))
  }

  return {
    *draw(sweeps) {
      for (let sweep = 0; sweep < sweeps; sweep++) yield search.sweep(1)
    },
    decide,
    renew: search.rescore,
  }
}

function verdictOf(call: number, cause: number, tally: ReadonlyMap<number, number>): Verdict {
  const others = [...tally]
    .filter(([other]) => other !== cause && other >= 0)
    .map(([other, confidence]) => ({ cause: other, confidence }))
    .sort((a, b) => b.confidence - a.confidence)
    .slice(0, 3)
  return { call, cause, confidence: Math.min(tally.get(cause) ?? 0, surest), others }
}

/** Statistics never prove. */
const surest = 0.99
