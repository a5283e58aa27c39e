import type { Interval } from '../interval-list.ts'

/** A request that a process served: who could have caused calls. Times in ns on one scale. */
export interface Request extends Interval {
  /** Number of its kind (operation) within the process, from 0. */
  readonly kind: number
  /** Words that may turn up again in a call that it causes. */
  readonly words: readonly string[]
}

/** A call that the process made, for which a cause is sought. */
export interface Call extends Interval {
  /** Number of its kind (peer and operation) within the process, from 0. */
  readonly kind: number
  readonly words: readonly string[]
  /** The request that caused it, where another rule or an earlier decision has told; else undefined. */
  readonly known: Request | undefined
}

/**
 * What is judged together: the calls of one process that wait for a decision and the requests that were open around them, as
 * arrays by start, because the search visits them millions of times. `causes[c]` is the request that call c is given to for
 * now, -1 for none.
 */
export interface Scene {
  readonly requests: readonly Request[]
  readonly calls: readonly Call[]
  /** For each call the requests that were open from its start to its end. */
  readonly candidates: readonly Int32Array[]
  /** Whether the call's cause may be changed. */
  readonly isFree: Uint8Array
  readonly causes: Int32Array
  /** Calls of each request, by start. */
  readonly callsOf: number[][]
  /** Calls of each kind, by start, and each call's place among them. */
  readonly callsOfKind: readonly (readonly number[])[]
  readonly rankInKind: Int32Array
  readonly requestKinds: number
  readonly callKinds: number
}

export function createScene(requests: readonly Request[], calls: readonly Call[]): Scene {
  const byStart = (a: Interval, b: Interval) => a.start - b.start || a.end - b.end
  const sortedRequests = [...requests].sort(byStart)
  const sortedCalls = [...calls].sort(byStart)
  const numbers = new Map(sortedRequests.map((request, at) => [request, at]))
  const callKinds = 1 + Math.max(-1, ...sortedCalls.map(({ kind }) => kind))
  const callsOfKind: number[][] = Array.from({ length: callKinds }, () => [])
  const rankInKind = new Int32Array(sortedCalls.length)
  const causes = new Int32Array(sortedCalls.length).fill(-1)
  const isFree = new Uint8Array(sortedCalls.length)
  const callsOf: number[][] = sortedRequests.map(() => [])
  for (const [at, call] of sortedCalls.entries()) {
    const ofKind = callsOfKind[call.kind]!
    rankInKind[at] = ofKind.length
    ofKind.push(at)
    const cause = call.known && numbers.get(call.known)
    if (cause === undefined) isFree[at] = call.known ? 0 : 1
    else {
      causes[at] = cause
      callsOf[cause]!.push(at)
    }
  }
  return {
    requests: sortedRequests,
    calls: sortedCalls,
    candidates: candidatesOf(sortedRequests, sortedCalls),
    isFree,
    causes,
    callsOf,
    callsOfKind,
    rankInKind,
    requestKinds: 1 + Math.max(-1, ...sortedRequests.map(({ kind }) => kind)),
    callKinds,
  }
}

/** A request that was open from the call's start to its end. Calls that outlive their request are left to other rules. */
export function encloses(request: Interval, call: Interval): boolean {
  return request.start <= call.start && call.end <= request.end
}

function candidatesOf(requests: readonly Request[], calls: readonly Call[]): Int32Array[] {
  const longest = requests.reduce((most, { start, end }) => Math.max(most, end - start), 0)
  const most = Math.min(mostCandidates, Math.ceil(mostPairs / Math.max(1, calls.length)))
  let from = 0
  return calls.map(call => {
    while (from < requests.length && requests[from]!.start < call.start - longest) from++
    const found: number[] = []
    for (let at = from; at < requests.length && requests[at]!.start <= call.start; at++) {
      if (requests[at]!.end >= call.end) found.push(at)
    }
    return Int32Array.from(found.length > most ? found.slice(-most) : found)
  })
}

/** Of more requests open at once the latest are kept: the work stays bounded. */
const mostCandidates = 400
const mostPairs = 500_000

/** Free calls and their candidates as groups that share none: each can be judged by itself. */
export function groupsOf({ calls, candidates, isFree }: Scene): number[][] {
  const groupOf = new Int32Array(calls.length).map((_, at) => at)
  const find = (at: number): number => {
    let top = at
    while (groupOf[top] !== top) top = groupOf[top]!
    for (let next = at; groupOf[next] !== top;) {
      const above = groupOf[next]!
      groupOf[next] = top
      next = above
    }
    return top
  }
  const firstOf = new Map<number, number>()
  for (let call = 0; call < calls.length; call++) {
    if (!isFree[call]) continue
    for (const request of candidates[call]!) {
      const first = firstOf.get(request)
      if (first === undefined) firstOf.set(request, call)
      else groupOf[find(call)] = find(first)
    }
  }
  const groups = new Map<number, number[]>()
  for (let call = 0; call < calls.length; call++) {
    if (!isFree[call]) continue
    const top = find(call)
    const group = groups.get(top)
    if (group) group.push(call)
    else groups.set(top, [call])
  }
  return [...groups.values()]
}

/** All requests that could have caused any of these calls. */
export function requestsOfGroup({ candidates }: Scene, group: readonly number[]): number[] {
  return [...new Set(group.flatMap(call => [...candidates[call]!]))]
}
