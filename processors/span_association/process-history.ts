import type { SightSpan } from './held.ts'
import { IntervalList } from './interval-list.ts'

/** What a thread served. */
export interface ThreadHistory {
  readonly served: IntervalList<SightSpan>
  /** Two of its requests overlapped, or it went to others before it had answered: it interleaves them, as event loops do. */
  isInterleaving: boolean
}

/** What a process served and what it called, as far as it still matters. */
export interface ProcessHistory {
  /** Its `s-p` sights, also those that have left already: they decide what was open when. */
  readonly served: IntervalList<SightSpan>
  /** Its `c-p` sights. */
  readonly called: IntervalList<SightSpan>
  /** Its `c-p` sights by the thread and the coroutine that made them. */
  readonly calledBy: ReadonlyMap<number, IntervalList<SightSpan>>
  readonly calledByCoroutine: ReadonlyMap<number, IntervalList<SightSpan>>
  /** What each thread and each coroutine served. */
  readonly threads: ReadonlyMap<number, ThreadHistory>
  readonly coroutines: ReadonlyMap<number, IntervalList<SightSpan>>
  add(sight: SightSpan): void
  remove(sight: SightSpan): void
  /** Forgets what has left and ended before `time`; false if nothing remains. */
  forgetBefore(time: number): boolean
}

export function createProcessHistory(): ProcessHistory {
  const served = new IntervalList<SightSpan>()
  const called = new IntervalList<SightSpan>()
  const calledBy: Lists = new Map()
  const calledByCoroutine: Lists = new Map()
  const coroutines: Lists = new Map()
  const threads = new Map<number, ThreadHistory>()

  function addToThread(sight: SightSpan): void {
    const tid = sight.thread
    if (tid === undefined) return
    let thread = threads.get(tid)
    if (!thread) {
      thread = { served: new IntervalList(), isInterleaving: false }
      threads.set(tid, thread)
    }
    thread.isInterleaving ||=
      sight.isInterleaved || thread.served.someOverlapping(sight.start, sight.end, () => true)
    thread.served.add(sight)
  }

  return {
    served,
    called,
    calledBy,
    calledByCoroutine,
    threads,
    coroutines,
    add(sight) {
      if (sight.point === 'c-p') {
        called.add(sight)
        put(calledBy, sight.thread, sight)
        put(calledByCoroutine, sight.coroutine, sight)
      }
      if (sight.point !== 's-p') return
      served.add(sight)
      addToThread(sight)
      put(coroutines, sight.coroutine, sight)
    },
    remove(sight) {
      const { thread = -1, coroutine = -1 } = sight
      if (sight.point === 'c-p') {
        called.remove(sight)
        calledBy.get(thread)?.remove(sight)
        calledByCoroutine.get(coroutine)?.remove(sight)
      } else {
        served.remove(sight)
        threads.get(thread)?.served.remove(sight)
        coroutines.get(coroutine)?.remove(sight)
      }
    },
    forgetBefore(time) {
      const isKept = (sight: SightSpan) => !sight.isReleased || sight.end >= time
      const isHeld = (sight: SightSpan) => !sight.isReleased
      served.keep(isKept)
      called.keep(isHeld)
      keepIn(calledBy, isHeld)
      keepIn(calledByCoroutine, isHeld)
      keepIn(coroutines, isKept)
      for (const [tid, thread] of threads) {
        thread.served.keep(isKept)
        if (thread.served.size === 0) threads.delete(tid)
      }
      return served.size > 0 || called.size > 0
    },
  }
}

type Lists = Map<number, IntervalList<SightSpan>>

function put(lists: Lists, id: number | undefined, sight: SightSpan): void {
  if (id === undefined) return
  let list = lists.get(id)
  if (!list) lists.set(id, (list = new IntervalList()))
  list.add(sight)
}

function keepIn(lists: Lists, isKept: (sight: SightSpan) => boolean): void {
  for (const [id, list] of lists) {
    list.keep(isKept)
    if (list.size === 0) lists.delete(id)
  }
}
