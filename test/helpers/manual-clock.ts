import { VirtualTimeScheduler } from 'rxjs'
import type { Clock } from '../../core/clock.ts'

/** A clock that stands until it is told to go on. Timers fire in order while it goes. */
export interface ManualClock extends Clock {
  advance(ms: number): void
}

export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  let nowMs = startMs
  let timers: { atMs: number; callback: () => void }[] = []
  return {
    nowMs: () => nowMs,
    nowNs: () => BigInt(nowMs) * 1_000_000n,
    after(delayMs, callback) {
      const timer = { atMs: nowMs + delayMs, callback }
      timers.push(timer)
      return () => (timers = timers.filter(other => other !== timer))
    },
    scheduler: new VirtualTimeScheduler(),
    advance(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        const due = timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
        if (!due) break
        timers = timers.filter(timer => timer !== due)
        nowMs = Math.max(nowMs, due.atMs)
        due.callback()
      }
      nowMs = untilMs
    },
  }
}
