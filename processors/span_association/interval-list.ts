/** Anything with a beginning and an end on one time scale. */
export interface Interval {
  readonly start: number
  readonly end: number
}

/**
 * Intervals by their start, with the latest end so far beside each, so that those that overlap a window are found without
 * looking at all of them. What comes roughly in order is added in constant time.
 */
export class IntervalList<T extends Interval> {
  private items: T[] = []
  /** `latestEnd[i]`: the latest end of `items[0..i]`. */
  private latestEnd: number[] = []

  get size(): number {
    return this.items.length
  }

  add(item: T): void {
    const { items, latestEnd } = this
    const at = this.after(item.start)
    if (at === items.length) {
      items.push(item)
      latestEnd.push(Math.max(item.end, at > 0 ? latestEnd[at - 1]! : item.end))
      return
    }
    items.splice(at, 0, item)
    latestEnd.push(0)
    this.measureFrom(at)
  }

  /** Those that share at least an instant with the window, the latest start first. */
  overlapping(from: number, to: number): T[] {
    const found: T[] = []
    for (let at = this.after(to) - 1; at >= 0 && this.latestEnd[at]! >= from; at--) {
      const item = this.items[at]!
      if (item.end >= from) found.push(item)
    }
    return found
  }

  /** Forgets what is not to be kept. */
  keep(isKept: (item: T) => boolean): void {
    this.items = this.items.filter(isKept)
    this.latestEnd.length = this.items.length
    this.measureFrom(0)
  }

  private measureFrom(first: number): void {
    const { items, latestEnd } = this
    let latest = first > 0 ? latestEnd[first - 1]! : -Infinity
    for (let at = first; at < items.length; at++) {
      latest = Math.max(latest, items[at]!.end)
      latestEnd[at] = latest
    }
  }

  /** How many begin at or before `start`. */
  private after(start: number): number {
    const { items } = this
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
}
