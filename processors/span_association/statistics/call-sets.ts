/**
 * Which calls a kind of request makes, and what follows what. A set of calls that was seen counts by how often it was (95 %); one that
 * was not, by how often each call of it is made at all (5 %): so calls can be optional, and one that is missing costs.
 */
export interface CallSets {
  /** Log probability that a request of this kind makes just these calls. `codes`: a character for each, sorted. */
  logOf(codes: string): number
  /** Log probability that this event follows, among those that follow the same. */
  logOfEvent(event: number): number
  /** The log odds by which sharing a word, or sharing none, tells for a call of this kind. */
  logOfWords(call: number, isShared: boolean): number
  readonly tried: CallCounts
  readonly settled: CallCounts
  /** To be called after either has changed. */
  fit(): void
}

/** `eventsPerSource`: events are numbered so that those that follow the same share the quotient. */
export function createCallSets(eventsPerSource: number): CallSets {
  const tried = createCounts(eventsPerSource)
  const settled = createCounts(eventsPerSource)
  const setLogs = new Map<string, number>()
  const eventLogs = new Map<number, number>()

  function asSet(codes: string): number {
    return (tried.sets(codes) + settled.sets(codes)) / (tried.requests + settled.requests + 1)
  }

  function oneByOne(codes: string): number {
    const all = tried.requests + settled.requests + 1
    let probability = 1
    for (const code of new Set([...settled.codes, ...tried.codes, ...Array.from(codes)])) {
      const share = Math.min(0.999, (tried.withCall(code) + settled.withCall(code) + 0.5) / all)
      const count = codes.split(code).length - 1
      probability *= count === 0 ? 1 - share : share * againShare(code) ** (count - 1)
    }
    return probability
  }

  /** Of the calls of a kind, how many are not the first of their request. */
  function againShare(code: string): number {
    const all = tried.calls(code) + settled.calls(code)
    const first = tried.withCall(code) + settled.withCall(code)
    return Math.min(0.9, (all - first + 0.02) / (all + 1))
  }

  return {
    tried,
    settled,
    logOf(codes) {
      let log = setLogs.get(codes)
      if (log === undefined) {
        if (setLogs.size >= mostSets) setLogs.clear()
        setLogs.set(codes, (log = Math.log(0.95 * asSet(codes) + 0.05 * oneByOne(codes) + 1e-9)))
      }
      return log
    },
    logOfEvent(event) {
      let log = eventLogs.get(event)
      if (log === undefined) {
        const of = tried.event(event) + settled.event(event)
        const all = tried.eventsLike(event) + settled.eventsLike(event)
        eventLogs.set(event, (log = Math.log((of + 0.02) / (all + 1))))
      }
      return log
    },
    logOfWords(call, isShared) {
      const [shared, all] = settled.words(call)
      const share = Math.min(1 - byChance, Math.max(byChance, (shared + 1) / (all + 2)))
      return isShared ? Math.log(share / byChance) : Math.log((1 - share) / (1 - byChance))
    },
    fit() {
      setLogs.clear()
      eventLogs.clear()
    },
  }
}

/** How often a word of a request turns up in a call that it did not cause. */
const byChance = 0.02
const mostSets = 512

export interface CallCounts {
  add(codes: string, weight: number): void
  addEvent(event: number, weight: number): void
  addWords(call: number, isShared: boolean): void
  clear(): void
  /** Keeps the past as at most this many requests. */
  age(most: number): void
  readonly requests: number
  readonly codes: Iterable<string>
  sets(codes: string): number
  /** Requests with such a call, and such calls. */
  withCall(code: string): number
  calls(code: string): number
  event(event: number): number
  eventsLike(event: number): number
  /** How many calls of this kind shared a word with their request, of how many. */
  words(call: number): readonly [shared: number, all: number]
}

function createCounts(eventsPerSource: number): CallCounts {
  let requests = 0
  const sets = new Map<string, number>()
  const withCall = new Map<string, number>()
  const calls = new Map<string, number>()
  const events = new Map<number, number>()
  const sources = new Map<number, number>()
  const words = new Map<number, [number, number]>()
  const count = <K>(map: Map<K, number>, key: K, weight: number): void => {
    const known = map.get(key)
    if (known !== undefined) map.set(key, known + weight)
    else if (map.size < mostSets) map.set(key, weight)
  }

  return {
    add(codes, weight) {
      requests += weight
      count(sets, codes, weight)
      for (const code of new Set(codes)) count(withCall, code, weight)
      for (const code of codes) count(calls, code, weight)
    },
    addEvent(event, weight) {
      count(events, event, weight)
      count(sources, Math.floor(event / eventsPerSource), weight)
    },
    addWords(call, isShared) {
      const known = words.get(call) ?? [0, 0]
      words.set(call, [known[0] + (isShared ? 1 : 0), known[1] + 1])
    },
    clear() {
      requests = 0
      for (const map of [sets, withCall, calls, events, sources, words]) map.clear()
    },
    age(most) {
      if (requests <= most) return
      const factor = most / requests
      requests = most
      for (const map of [sets, withCall, calls]) for (const [key, value] of map) map.set(key, value * factor)
      for (const map of [events, sources]) for (const [key, value] of map) map.set(key, value * factor)
      for (const [key, [shared, all]] of words) words.set(key, [shared * factor, all * factor])
    },
    get requests() {
      return requests
    },
    get codes() {
      return calls.keys()
    },
    sets: codes => sets.get(codes) ?? 0,
    withCall: code => withCall.get(code) ?? 0,
    calls: code => calls.get(code) ?? 0,
    event: event => events.get(event) ?? 0,
    eventsLike: event => sources.get(Math.floor(event / eventsPerSource)) ?? 0,
    words: call => words.get(call) ?? [0, 0],
  }
}
