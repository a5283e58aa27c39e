import type { Direction } from './conversation.ts'
import { reorderNs } from './limits.ts'

/** Bytes of one direction as one packet carried them. `length` may exceed what was captured of them. */
export interface Segment {
  readonly direction: Direction
  readonly timeNs: bigint
  readonly seq: number
  readonly length: number
  readonly payload: Uint8Array
  readonly isTransmit: boolean
}

export interface ReassemblySink {
  /** The next bytes of a direction. */
  deliver(segment: Segment): void
  /** Bytes that did not come, before those that are delivered next. */
  lose(direction: Direction, length: number, before: Segment): void
  /** Other numbers altogether: another connection on the same ports. */
  restart(): void
}

/** What became of a segment. `again`: all its bytes had been seen. */
export type Fate = 'taken' | 'again'

/**
 * Puts TCP segments of both directions into order by sequence number (u32, it wraps). While bytes of one direction are
 * missing, what the other sent after that waits too, so that answers don't overtake questions.
 */
export interface Reassembly {
  push(segment: Segment): Fate
  /** Gives up bytes that are missing for too long. */
  advance(nowNs: bigint): void
  waiting(): number
}

/** Jumps beyond these are no loss but another connection on the same ports. */
const farthestAhead = 16 * 1024 * 1024
const farthestBehind = 4 * 1024 * 1024

export function createReassembly(
  sink: ReassemblySink,
  limits: { readonly maximumWaitingPackets: number; readonly maximumWaitingBytes: number },
): Reassembly {
  const next: [number | undefined, number | undefined] = [undefined, undefined]
  const waiting: Segment[] = []
  let waitingBytes = 0

  function push(segment: Segment): Fate {
    const { direction } = segment
    const ahead = aheadOf(segment)
    if (ahead > farthestAhead || ahead < -farthestBehind) {
      giveUp()
      next[0] = next[1] = undefined
      sink.restart()
    } else if (ahead + segment.length <= 0) return 'again'
    next[direction] ??= segment.seq
    if (waiting.length === 0 && aheadOf(segment) <= 0) deliver(segment)
    else wait(segment)
    return 'taken'
  }

  /** How far its first byte is beyond the next one that is due; negative: some of it was seen. */
  function aheadOf({ direction, seq }: Segment): number {
    return (seq - (next[direction] ?? seq)) | 0
  }

  function deliver(segment: Segment): void {
    const seen = -aheadOf(segment)
    if (seen >= segment.length) return
    next[segment.direction] = (segment.seq + segment.length) >>> 0
    if (seen === 0) sink.deliver(segment)
    else {
      sink.deliver({
        ...segment,
        seq: (segment.seq + seen) >>> 0,
        length: segment.length - seen,
        payload: segment.payload.subarray(seen),
      })
    }
  }

  /** Payloads that wait are copied: who pushes may use its buffer again. */
  function wait(segment: Segment): void {
    waiting.push({ ...segment, payload: new Uint8Array(segment.payload) })
    waitingBytes += segment.payload.length
    drain()
    while (waiting.length > limits.maximumWaitingPackets || waitingBytes > limits.maximumWaitingBytes)
      skipGap()
  }

  function drain(): void {
    for (let index = firstDeliverable(); index !== -1; index = firstDeliverable()) deliver(takeOut(index))
  }

  function takeOut(index: number): Segment {
    const [segment] = waiting.splice(index, 1)
    waitingBytes -= segment!.payload.length
    return segment!
  }

  /** Due, and not behind a hole of the other direction that opened before any of its own. */
  function firstDeliverable(): number {
    const firstOf = [-1, -1]
    const firstHole = [-1, -1]
    for (const [index, segment] of waiting.entries()) {
      const { direction } = segment
      if (firstOf[direction] === -1) firstOf[direction] = index
      if (firstHole[direction] === -1 && aheadOf(segment) > 0) firstHole[direction] = index
    }
    return waiting.findIndex(segment => {
      if (aheadOf(segment) > 0) return false
      const hole = firstHole[1 - segment.direction]!
      return hole === -1 || hole > firstOf[segment.direction]!
    })
  }

  /** The hole before the segment that has waited longest is a loss. */
  function skipGap(): void {
    const oldest = waiting.find(segment => aheadOf(segment) > 0) ?? waiting[0]
    if (oldest === undefined) return
    const { direction } = oldest
    let nearest = oldest
    for (const segment of waiting) {
      if (segment.direction === direction && aheadOf(segment) < aheadOf(nearest)) nearest = segment
    }
    const missing = aheadOf(nearest)
    if (missing > 0) {
      sink.lose(direction, missing, nearest)
      next[direction] = nearest.seq
    }
    deliver(takeOut(waiting.indexOf(nearest)))
    drain()
  }

  function giveUp(): void {
    while (waiting.length > 0) skipGap()
  }

  return {
    push,
    advance(nowNs) {
      while (waiting.length > 0 && nowNs - waiting[0]!.timeNs > reorderNs) skipGap()
    },
    waiting: () => waiting.length,
  }
}
