import type { Model } from './model.ts'
import type { Scene } from './scene.ts'
import type { Steps } from './steps.ts'

/**
 * Gives every free call a first cause. Each call's candidates get weights by how well they fit one by one; no request gets more of one kind
 * of call than one, as far as possible; what the weights say of delays gives better weights (expectation and maximisation).
 * Then the best pairs are taken, best first.
 */
export function* guessFirst(scene: Scene, model: Model): Steps<void> {
  const pairs = scene.candidates.reduce((sum, { length }) => sum + length, 0)
  const rounds = model.experience >= enoughExperience ? 1 : mostRounds
  let weights = weigh(scene, model, model.experience === 0)
  const shares = sharesOf(scene)
  for (let round = 1; round < rounds; round++) {
    model.forgetTried()
    for (const [call, ofCall] of weights.entries()) {
      const candidates = scene.candidates[call]!
      for (let at = 0; at < ofCall.length; at++) model.tryPair(scene, candidates[at]!, call, ofCall[at]!)
    }
    model.finishTrying()
    weights = weigh(scene, model, false)
    for (let pass = 0; pass < 3; pass++) spread(scene, weights, shares)
    yield pairs
  }
  takeBest(scene, weights, shares)
  yield 3 * pairs
}

const enoughExperience = 200
const mostRounds = 10

function weigh(scene: Scene, model: Model, isBlank: boolean): Float64Array[] {
  return scene.candidates.map((candidates, call) => {
    if (!scene.isFree[call]) return new Float64Array(0)
    const weights = new Float64Array(candidates.length)
    let best = -Infinity
    for (let at = 0; at < weights.length; at++) {
      weights[at] = isBlank ? 0 : model.scorePair(scene, candidates[at]!, call)
      best = Math.max(best, weights[at]!)
    }
    let sum = 0
    for (let at = 0; at < weights.length; at++) sum += weights[at] = Math.exp(weights[at]! - best)
    for (let at = 0; at < weights.length; at++) weights[at]! /= sum
    return weights
  })
}

/** How many calls of each kind a request has that has any, roughly: calls over requests that could have made them. */
function sharesOf({ callsOfKind, candidates }: Scene): number[] {
  return callsOfKind.map(calls => {
    const requests = new Set(calls.flatMap(call => [...candidates[call]!]))
    return Math.max(1, Math.ceil((0.8 * calls.length) / Math.max(1, requests.size)))
  })
}

/** Where a request has more than its share of a kind of call, its calls lean to their other candidates. */
function spread(scene: Scene, weights: readonly Float64Array[], shares: readonly number[]): void {
  const { requests, calls, candidates, callKinds } = scene
  const loads = new Float64Array(requests.length * callKinds)
  const each = (see: (call: number, at: number, slot: number) => void) => {
    for (const [call, ofCall] of weights.entries()) {
      for (let at = 0; at < ofCall.length; at++) {
        see(call, at, candidates[call]![at]! * callKinds + calls[call]!.kind)
      }
    }
  }
  each((call, at, slot) => (loads[slot]! += weights[call]![at]!))
  each((call, at, slot) => (weights[call]![at]! /= Math.max(0.2, loads[slot]! / shares[calls[call]!.kind]!)))
  for (const ofCall of weights) {
    let sum = 0
    for (const weight of ofCall) sum += weight
    if (sum > 0) for (let at = 0; at < ofCall.length; at++) ofCall[at]! /= sum
  }
}

function takeBest(scene: Scene, weights: readonly Float64Array[], shares: readonly number[]): void {
  const { calls, candidates, causes, callsOf, callKinds } = scene
  const pairs: { weight: number; call: number; request: number }[] = []
  for (const [call, ofCall] of weights.entries()) {
    for (const [at, weight] of ofCall.entries()) pairs.push({ weight, call, request: candidates[call]![at]! })
  }
  pairs.sort((a, b) => b.weight - a.weight)
  const taken = new Map<number, number>()
  for (const isGenerous of [false, true]) {
    for (const { call, request } of pairs) {
      const { kind } = calls[call]!
      const slot = request * callKinds + kind
      const has = taken.get(slot) ?? 0
      const share = shares[kind]!
      if (causes[call]! >= 0 || has >= (isGenerous && share > 1 ? 3 * share : share)) continue
      causes[call] = request
      callsOf[request]!.push(call)
      taken.set(slot, has + 1)
    }
  }
  for (const list of callsOf) list.sort((a, b) => a - b)
}
