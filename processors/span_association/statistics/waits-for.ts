import { entropyOf } from './delay.ts'
import type { WaitsFor } from './order.ts'
import type { Scene } from './scene.ts'

/**
 * What each kind of call waits for within its request: the end of another call, if that tells more about its start than the
 * request's own start does (the delays' entropy is lower); -1 for the request. Judged anew at every look from the assignment.
 */
export interface WaitsForLearner {
  readonly waitsFor: WaitsFor
  learn(scene: Scene): void
}

export function createWaitsFor(resolution: number): WaitsForLearner {
  let awaited = new Map<number, number>()
  return {
    waitsFor: (requestKind, kind) => awaited.get(requestKind * 4096 + kind) ?? -1,
    learn(scene) {
      const found = new Map<number, number>()
      for (const [requestKind, requests] of requestsByKind(scene)) {
        for (const kind of commonKinds(scene, requests)) {
          const best = mostTelling(scene, { requests, kind, resolution })
          if (best >= 0) found.set(requestKind * 4096 + kind, best)
        }
      }
      awaited = found
    },
  }
}

function requestsByKind({ requests, callsOf }: Scene): Map<number, number[]> {
  const byKind = new Map<number, number[]>()
  for (const [request, { kind }] of requests.entries()) {
    if (callsOf[request]!.length < 2) continue
    const known = byKind.get(kind)
    if (!known) byKind.set(kind, [request])
    else if (known.length < mostSamples) known.push(request)
  }
  return byKind
}

function commonKinds({ calls, callsOf }: Scene, requests: readonly number[]): number[] {
  const counts = new Map<number, number>()
  for (const request of requests) {
    for (const kind of new Set(callsOf[request]!.map(call => calls[call]!.kind))) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
  }
  return [...counts]
    .filter(([, count]) => count >= fewestSamples)
    .sort(([, a], [, b]) => b - a)
    .slice(0, mostKindsCompared)
    .map(([kind]) => kind)
}

function mostTelling(
  scene: Scene,
  { requests, kind, resolution }: { requests: readonly number[]; kind: number; resolution: number },
): number {
  const sinceStart: number[] = []
  const sinceEnd = new Map<number, number[]>()
  for (const request of requests) {
    const calls = scene.callsOf[request]!
    const call = calls.find(its => scene.calls[its]!.kind === kind)
    if (call === undefined) continue
    const { start } = scene.calls[call]!
    sinceStart.push(start - scene.requests[request]!.start)
    const seen = new Set([kind])
    for (const other of calls) {
      const { kind: otherKind, end } = scene.calls[other]!
      if (seen.has(otherKind)) continue
      seen.add(otherKind)
      const delays = sinceEnd.get(otherKind)
      if (delays) delays.push(start - end)
      else sinceEnd.set(otherKind, [start - end])
    }
  }
  let best = -1
  let least = entropyOf(sinceStart, resolution)
  for (const [otherKind, delays] of sinceEnd) {
    if (delays.length < 0.8 * sinceStart.length || isMostlyNegative(delays)) continue
    const entropy = entropyOf(delays, resolution)
    if (entropy < least - 0.02) {
      least = entropy
      best = otherKind
    }
  }
  return best
}

/** What ends later cannot have been waited for. */
function isMostlyNegative(delays: readonly number[]): boolean {
  return delays.filter(delay => delay < 0).length * 2 > delays.length
}

const mostSamples = 1000
const fewestSamples = 5
const mostKindsCompared = 12
