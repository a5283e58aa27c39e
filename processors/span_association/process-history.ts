import type { SightSpan } from './held.ts'
import { IntervalList } from './interval-list.ts'

/** What a thread served. */
export interface ThreadHistory {
  readonly served: IntervalList<SightSpan>
  /** Two of its requests overlapped: it interleaves them, as event loops do. */
  isInterleaving: boolean
}

/** What a process served and what it called, as far as it still matters. */
export interface ProcessHistory {
  /** Its `s-p` sights, also those that have left already: they decide what was open when. */
  readonly served: IntervalList<SightSpan>
  /** Its `c-p` sights. */
  readonly called: IntervalList<SightSpan>
  readonly threads: ReadonlyMap<number, ThreadHistory>
  add(sight: SightSpan): void
  /** Forgets what has left and ended before `time`; false if nothing remains. */
  forgetBefore(time: number): boolean
}

export function createProcessHistory(): ProcessHistory {
  const served = new IntervalList<SightSpan>()
  const called = new IntervalList<SightSpan>()
  const threads = new Map<number, ThreadHistory>()

  function addToThread(sight: SightSpan): void {
    const tid = sight.thread
    if (tid === undefined) return
    let thread = threads.get(tid)
    if (!thread) {
      thread = { served: new IntervalList(), isInterleaving: false }
      threads.set(tid, thread)
    }
    thread.isInterleaving ||= thread.served.overlapping(sight.start, sight.end).length > 0
    thread.served.add(sight)
  }

  return {
    served,
    called,
    threads,
    add(sight) {
      if (sight.point === 'c-p') called.add(sight)
      if (sight.point !== 's-p') return
      served.add(sight)
      addToThread(sight)
    },
    forgetBefore(time) {
      const isKept = (sight: SightSpan) => !sight.isReleased || sight.end >= time
      served.keep(isKept)
      called.keep(({ isReleased }) => !isReleased)
      for (const [tid, thread] of threads) {
        thread.served.keep(isKept)
        if (thread.served.size === 0) threads.delete(tid)
      }
      return served.size > 0 || called.size > 0
    },
  }
}
