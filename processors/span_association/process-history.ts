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
  /** Its `c-p` sights by the thread that made them. */
  readonly calledBy: ReadonlyMap<number, IntervalList<SightSpan>>
  readonly threads: ReadonlyMap<number, ThreadHistory>
  add(sight: SightSpan): void
  remove(sight: SightSpan): void
  /** Forgets what has left and ended before `time`; false if nothing remains. */
  forgetBefore(time: number): boolean
}

export function createProcessHistory(): ProcessHistory {
  const served = new IntervalList<SightSpan>()
  const called = new IntervalList<SightSpan>()
  const calledBy = new Map<number, IntervalList<SightSpan>>()
  const threads = new Map<number, ThreadHistory>()

  function addToThread(sight: SightSpan): void {
    const tid = sight.thread
    if (tid === undefined) return
    let thread = threads.get(tid)
    if (!thread) {
      thread = { served: new IntervalList(), isInterleaving: false }
      threads.set(tid, thread)
    }
    thread.isInterleaving ||= thread.served.someOverlapping(sight.start, sight.end, () => true)
    thread.served.add(sight)
  }

  function addToCaller(sight: SightSpan): void {
    const tid = sight.thread
    if (tid === undefined) return
    let calls = calledBy.get(tid)
    if (!calls) calledBy.set(tid, (calls = new IntervalList()))
    calls.add(sight)
  }

  return {
    served,
    called,
    calledBy,
    threads,
    add(sight) {
      if (sight.point === 'c-p') {
        called.add(sight)
        addToCaller(sight)
      }
      if (sight.point !== 's-p') return
      served.add(sight)
      addToThread(sight)
    },
    remove(sight) {
      const { thread = -1 } = sight
      if (sight.point === 'c-p') {
        called.remove(sight)
        calledBy.get(thread)?.remove(sight)
      } else {
        served.remove(sight)
        threads.get(thread)?.served.remove(sight)
      }
    },
    forgetBefore(time) {
      const isKept = (sight: SightSpan) => !sight.isReleased || sight.end >= time
      served.keep(isKept)
      called.keep(({ isReleased }) => !isReleased)
      for (const [tid, calls] of calledBy) {
        calls.keep(({ isReleased }) => !isReleased)
        if (calls.size === 0) calledBy.delete(tid)
      }
      for (const [tid, thread] of threads) {
        thread.served.keep(isKept)
        if (thread.served.size === 0) threads.delete(tid)
      }
      return served.size > 0 || called.size > 0
    },
  }
}
