import type { Held } from './held.ts'

/** What is held, in order of arrival. To take out what has left costs nothing until it is at the head. */
export function createHeldQueue() {
  let items: Held[] = []
  /** The first that may be held still, and the first that has not been looked at. */
  let head = 0
  let seen = 0

  function oldest(): Held | undefined {
    while (head < items.length && items[head]!.isReleased) head++
    seen = Math.max(seen, head)
    if (head > 4096 && head * 2 > items.length) {
      items = items.slice(head)
      seen -= head
      head = 0
    }
    return items[head]
  }

  return {
    add: (held: Held) => void items.push(held),
    oldest,
    /** What came before `timeMs` and was not given here before. */
    dueBefore(timeMs: number): readonly Held[] {
      const from = seen
      while (seen < items.length && items[seen]!.arrivedMs <= timeMs) seen++
      return items.slice(from, seen)
    },
  }
}
