import { asyncScheduler, type SchedulerLike } from 'rxjs'

/**
 * The one clock. Every window, timeout and model age reads it; replay, tests and benchmarks hand in one that follows
 * recorded arrival instead of the wall.
 */
export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number
  /** Unix time in nanoseconds. */
  nowNs(): bigint
  /** Calls once after `delayMs`; the returned function cancels. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void
  /** The same clock for RxJS operators. */
  readonly scheduler: SchedulerLike
}

/** The wall clock, steady between steps: monotonic progress from one reading of the system time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowNs: () => startNs + process.hrtime.bigint(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref()
    return () => clearTimeout(timer)
  },
  scheduler: asyncScheduler,
}

const startNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint()
