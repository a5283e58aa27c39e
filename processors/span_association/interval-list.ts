/** Anything with a beginning and an end on one time scale. */
export interface Interval {
  readonly start: number
  readonly end: number
}

/**
 * Intervals by start, apart by length (each class four times as long as the one before), so that those that overlap a window are
 * found without looking at all of them, also where a stream of hours lies among requests of milliseconds. What comes roughly
 * in order is added in constant time.
 */
export class IntervalList<T extends Interval> {
  /** By length: `lists[n]` has those of up to `shortestNs * 4 ** n`, by start. */
  private readonly lists: T[][] = []
  private count = 0

  get size(): number {
    return this.count
  }

  add(item: T): void {
    const list = this.listOf(item)
    const at = after(list, item.start)
    if (at === list.length) list.push(item)
    else list.splice(at, 0, item)
    this.count++
  }

  remove(item: T): void {
    const list = this.listOf(item)
    for (let at = after(list, item.start) - 1; at >= 0 && list[at]!.start === item.start; at--) {
      if (list[at] !== item) continue
      list.splice(at, 1)
      this.count--
      return
    }
  }

  /** Those that share at least an instant with the window, the latest start first. */
  overlapping(from: number, to: number): T[] {
    const found: T[] = []
    let classes = 0
    this.lists.forEach((list, index) => {
      const before = found.length
      visitOverlapping(list, { from, to, longest: longestOf(index) }, item => found.push(item) < 0)
      if (found.length > before) classes++
    })
    if (classes > 1) found.sort((a, b) => b.start - a.start)
    return found
  }

  /** Whether any that shares at least an instant with the window is as asked for. Stops at the first. */
  someOverlapping(from: number, to: number, isIt: (item: T) => boolean): boolean {
    for (let index = 0; index < this.lists.length; index++) {
      const list = this.lists[index]!
      if (visitOverlapping(list, { from, to, longest: longestOf(index) }, isIt)) return true
    }
    return false
  }

  /** Forgets what is not to be kept. */
  keep(isKept: (item: T) => boolean): void {
    this.count = 0
    for (const [index, list] of this.lists.entries()) {
      const kept = list.filter(isKept)
      this.lists[index] = kept
      this.count += kept.length
    }
  }

  private listOf({ start, end }: T): T[] {
    let index = 0
    for (let longest = shortestNs; end - start > longest; longest *= 4) index++
    while (this.lists.length <= index) this.lists.push([])
    return this.lists[index]!
  }
}

const shortestNs = 1e6

function longestOf(index: number): number {
  return shortestNs * 4 ** index
}

/** The latest start first, until `visit` says true. */
function visitOverlapping<T extends Interval>(
  list: readonly T[],
  { from, to, longest }: { from: number; to: number; longest: number },
  visit: (item: T) => boolean,
): boolean {
  for (let at = after(list, to) - 1; at >= 0; at--) {
    const item = list[at]!
    if (item.start < from - longest) return false
    if (item.end >= from && visit(item)) return true
  }
  return false
}

/** How many begin at or before `start`. */
function after(items: readonly Interval[], start: number): number {
  let low = 0
  let high = items.length
  if (high > 0 && items[high - 1]!.start <= start) return high
  while (low < high) {
    const middle = (low + high) >> 1
    if (items[middle]!.start <= start) low = middle + 1
    else high = middle
  }
  return low
}
