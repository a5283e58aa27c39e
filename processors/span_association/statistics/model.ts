import { type CallSets, createCallSets } from './call-sets.ts'
import { DelayDensity } from './delay.ts'
import type { Scene } from './scene.ts'

/**
 * What is learnt of one process: how long it takes from a request's start to its first call, from the end of one call to the next, from
 * the beginning of one to that of another at its side, from the last call's end to the request's; which calls a kind of
 * request makes; and the share of words that a call has from its request. Learnt from the assignment itself, never from truth.
 *
 * The calls of one request are scored together, in the order of their starts: each by the delay since the event before it. So requests
 * that call in sequence, at once, or both are all described by the same few distributions, and no call graph is needed.
 */
export interface Model {
  /** Log likelihood of a request that caused just these calls (by start). */
  score(scene: Scene, request: number, calls: readonly number[]): number
  /** Log likelihood of a call that no request caused: timers and other things of the process's own. */
  scoreAlone(kind: number): number
  /** How well a call fits a request by itself, before it is known what else the request does. */
  scorePair(scene: Scene, request: number, call: number): number
  /** Of how many requests of this kind that made such a call it is known, the scene's own included. */
  familiarity(requestKind: number, callKind: number): number
  /** Learns from the scene's assignment as one possible truth. Several before `finishTrying` are averaged. */
  tryOut(scene: Scene, weight: number): void
  /** Learns pairs, for the very first guess. */
  tryPair(scene: Scene, request: number, call: number, weight: number): void
  finishTrying(): void
  forgetTried(): void
  /** Learns a decided request for good. `weight`: how sure it is. */
  settle(scene: Scene, request: number, weight: number): void
  /** Lets the past fade. */
  age(): void
  /** Decided requests, for what was learnt so far. */
  readonly experience: number
}

export function createModel(unit: number): Model {
  const delays = new Map<number, DelayDensity>()
  const pooled = new Map<number, DelayDensity>()
  const kinds = new Map<number, CallSets>()
  const arrivals = new Map<number, number>()
  let spanNs = 1e9
  let experience = 0

  const delayOf = (kind: number, event: number): DelayDensity | undefined => delays.get(kind * events + event)

  function delayFor(map: Map<number, DelayDensity>, key: number): DelayDensity | undefined {
    let delay = map.get(key)
    if (!delay && map.size < mostDelays) map.set(key, (delay = new DelayDensity(unit)))
    return delay
  }

  function setsOf(kind: number): CallSets {
    let known = kinds.get(kind)
    if (!known) kinds.set(kind, (known = createCallSets(mostKinds)))
    return known
  }

  function score(scene: Scene, request: number, calls: readonly number[]): number {
    const { start, end, kind } = scene.requests[request]!
    const sets = setsOf(kind)
    let sum = sets.logOf(codesOf(scene, calls))
    if (calls.length === 0) return sum + logOf(kind, eventNone, end - start)
    let last = calls[0]!
    for (let at = 0; at < calls.length; at++) {
      const call = scene.calls[calls[at]!]!
      if (call.end > scene.calls[last]!.end) last = calls[at]!
      const event = eventBefore(scene, request, calls, at)
      sum += logOf(kind, event.code, call.start - event.time) + sets.logOfEvent(event.code)
      sum += wordsLog(scene, request, calls[at]!)
    }
    const { kind: lastKind, end: lastEnd } = scene.calls[last]!
    return sum + logOf(kind, eventEnd + lastKind, end - lastEnd)
  }

  function logOf(kind: number, event: number, delay: number): number {
    const density = delayOf(kind, event) ?? pooled.get(event)
    return density ? density.log(delay) : unheardOf
  }

  function wordsLog(scene: Scene, request: number, call: number): number {
    const { words, kind } = scene.calls[call]!
    if (words.length === 0) return 0
    const asked = scene.requests[request]!
    return asked.words.length === 0 ? 0 : setsOf(asked.kind).logOfWords(kind, shareWord(words, asked.words))
  }

  function scoreAlone(kind: number): number {
    return Math.log((0.01 * Math.max(1, arrivals.get(kind) ?? 0)) / spanNs)
  }

  function scorePair(scene: Scene, request: number, call: number): number {
    const { start, end, kind } = scene.requests[request]!
    const { start: from, end: to, kind: called } = scene.calls[call]!
    const before = delayOf(kind, eventPairStart + called)
    const after = delayOf(kind, eventPairEnd + called)
    return (before?.log(from - start) ?? 0) + (after?.log(end - to) ?? 0) + wordsLog(scene, request, call)
  }

  function familiarity(requestKind: number, callKind: number): number {
    const { settled, tried } = setsOf(requestKind)
    const code = String.fromCharCode(callKind + 1)
    return settled.withCall(code) + tried.withCall(code)
  }

  function tryPair(scene: Scene, request: number, call: number, weight: number): void {
    const { start, end, kind } = scene.requests[request]!
    const { start: from, end: to, kind: called } = scene.calls[call]!
    delayFor(delays, kind * events + eventPairStart + called)?.try(from - start, weight)
    delayFor(delays, kind * events + eventPairEnd + called)?.try(end - to, weight)
  }

  function tryOut(scene: Scene, weight: number): void {
    for (let request = 0; request < scene.requests.length; request++) {
      learn(scene, request, { weight, isForGood: false })
    }
    for (const [kind, calls] of scene.callsOfKind.entries()) arrivals.set(kind, calls.length)
    const { calls } = scene
    if (calls.length > 1) spanNs = Math.max(calls[calls.length - 1]!.start - calls[0]!.start, 1e6)
  }

  function settle(scene: Scene, request: number, weight: number): void {
    learn(scene, request, { weight, isForGood: true })
    experience++
  }

  function learn(
    scene: Scene,
    request: number,
    { weight, isForGood }: { weight: number; isForGood: boolean },
  ): void {
    const calls = scene.callsOf[request]!
    const { start, end, kind } = scene.requests[request]!
    const sets = setsOf(kind)
    const counts = isForGood ? sets.settled : sets.tried
    counts.add(codesOf(scene, calls), weight)
    const put = (event: number, delay: number) => {
      for (const density of [delayFor(delays, kind * events + event), delayFor(pooled, event)]) {
        if (isForGood) density?.settle(delay, weight)
        else density?.try(delay, weight)
      }
    }
    if (calls.length === 0) {
      put(eventNone, end - start)
      return
    }
    let last = calls[0]!
    for (let at = 0; at < calls.length; at++) {
      const call = scene.calls[calls[at]!]!
      if (call.end > scene.calls[last]!.end) last = calls[at]!
      const event = eventBefore(scene, request, calls, at)
      put(event.code, call.start - event.time)
      counts.addEvent(event.code, weight)
      if (isForGood) {
        put(eventPairStart + call.kind, call.start - start)
        put(eventPairEnd + call.kind, end - call.end)
        const asked = scene.requests[request]!.words
        if (call.words.length > 0 && asked.length > 0) {
          counts.addWords(call.kind, shareWord(call.words, asked))
        }
      }
    }
    put(eventEnd + scene.calls[last]!.kind, end - scene.calls[last]!.end)
  }

  function finishTrying(): void {
    for (const density of pooled.values()) density.fit()
    for (const [key, density] of delays) density.fit(pooled.get(key % events), pooledWeight)
    for (const sets of kinds.values()) sets.fit()
  }

  function forgetTried(): void {
    for (const density of delays.values()) density.clearTried()
    for (const density of pooled.values()) density.clearTried()
    for (const sets of kinds.values()) sets.tried.clear()
  }

  function age(): void {
    for (const density of delays.values()) density.age(mostWeight)
    for (const density of pooled.values()) density.age(mostWeight)
    for (const sets of kinds.values()) sets.settled.age(mostWeight)
  }

  return {
    score,
    scoreAlone,
    scorePair,
    familiarity,
    tryOut,
    tryPair,
    finishTrying,
    forgetTried,
    settle,
    age,
    get experience() {
      return experience
    },
  }
}

/** Kinds of requests and of calls that one process can have; more share the last number. */
export const mostKinds = 64

/** Events are numbered: what comes before, times `mostKinds`, plus the kind of call. */
const eventEnd = 0
const eventNone = mostKinds
const eventPairStart = 2 * mostKinds
const eventPairEnd = 3 * mostKinds
const eventFirst = 4 * mostKinds
const eventAfterEnd = 5 * mostKinds
const eventAfterStart = eventAfterEnd + mostKinds * mostKinds
const events = eventAfterStart + mostKinds * mostKinds

/** What a kind of request shares with the others of its process: as much as this many requests of its own. */
const pooledWeight = 100
const mostWeight = 4000
const mostDelays = 1024
/** Of an event that never came before: less likely than once in an hour. */
const unheardOf = -Math.log(3600e9)

/**
 * What a call waited for, as far as one can see: the end of the call before it, or, if that was still open, its start (both were made
 * at once); the first one for the request's start.
 */
function eventBefore(
  scene: Scene,
  request: number,
  calls: readonly number[],
  at: number,
): { readonly code: number; readonly time: number } {
  const { start, kind } = scene.calls[calls[at]!]!
  if (at === 0) return { code: eventFirst + kind, time: scene.requests[request]!.start }
  const previous = scene.calls[calls[at - 1]!]!
  let ended = -1
  for (let before = 0; before < at; before++) {
    const { end } = scene.calls[calls[before]!]!
    if (end <= start && (ended < 0 || end > scene.calls[ended]!.end)) ended = calls[before]!
  }
  if (ended >= 0 && scene.calls[ended]!.end >= previous.start) {
    const { end, kind: after } = scene.calls[ended]!
    return { code: eventAfterEnd + after * mostKinds + kind, time: end }
  }
  return { code: eventAfterStart + previous.kind * mostKinds + kind, time: previous.start }
}

/** The calls of a request regardless of order, as one text. */
function codesOf(scene: Scene, calls: readonly number[]): string {
  if (calls.length === 0) return ''
  if (calls.length === 1) return String.fromCharCode(scene.calls[calls[0]!]!.kind + 1)
  const kinds = calls.map(call => scene.calls[call]!.kind + 1).sort((a, b) => a - b)
  return String.fromCharCode(...kinds)
}

function shareWord(some: readonly string[], others: readonly string[]): boolean {
  return some.some(word => others.includes(word))
}
