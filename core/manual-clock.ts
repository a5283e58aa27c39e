import { VirtualTimeScheduler } from 'rxjs'
import type { Clock } from './clock.ts'

/** A clock that stands still until it is moved: for tests, replay and benchmarks. */
export interface ManualClock extends Clock {
  /** Moves time on, running in order what falls due. */
  advance(ms: number): void
}

export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  const scheduler = new VirtualTimeScheduler()
  scheduler.frame = startMs
  scheduler.maxFrames = startMs
  return {
    nowMs: () => scheduler.frame,
    nowNs: () => BigInt(Math.round(scheduler.frame * 1e6)),
    after(delayMs, callback) {
      const action = scheduler.schedule(callback, delayMs)
      return () => action.unsubscribe()
    },
    scheduler,
    advance(ms) {
      const untilMs = scheduler.frame + ms
      scheduler.maxFrames = untilMs
      scheduler.flush()
      scheduler.frame = untilMs
    },
  }
}
