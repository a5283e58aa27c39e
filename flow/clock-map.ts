import type { ClockEvent } from './events.ts'

/** Two readings of both clocks differ by some hundred ns; more than this is a change of the wall clock. */
const noiseNs = 100_000n
const maximumEpochs = 64

/** Kernel monotonic time to wall time. Within one epoch the difference is one constant, so that no order is lost. */
export interface ClockMap {
  add(event: ClockEvent): void
  /** Unix time minus kernel time (ns) at that instant; undefined before the first reading. */
  offsetAt(ns: bigint): bigint | undefined
  /** The wall clock was set between the two. */
  hasStepBetween(fromNs: bigint, toNs: bigint): boolean
}

export function createClockMap(): ClockMap {
  const epochs: { readonly fromNs: bigint; readonly offset: bigint }[] = []

  function epochAt(ns: bigint): { readonly fromNs: bigint; readonly offset: bigint } | undefined {
    for (let index = epochs.length - 1; index > 0; index--) {
      if (epochs[index]!.fromNs <= ns) return epochs[index]
    }
    return epochs[0] // what came before the first reading is mapped by it
  }

  return {
    add({ monotonicNs, realtimeNs, stepped }) {
      const offset = realtimeNs - monotonicNs
      const last = epochs.at(-1)
      const change = last === undefined ? 0n : offset - last.offset
      if (last !== undefined && !stepped && change < noiseNs && change > -noiseNs) return
      epochs.push({ fromNs: monotonicNs, offset })
      if (epochs.length > maximumEpochs) epochs.shift()
    },
    offsetAt: ns => epochAt(ns)?.offset,
    hasStepBetween: (fromNs, toNs) => epochAt(fromNs) !== epochAt(toNs),
  }
}
