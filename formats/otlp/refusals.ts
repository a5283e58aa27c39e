/** Items that were refused out of a request whose other items were taken, by reason. */
export interface Refusals {
  readonly items: number
  /** How many for which reason; at most eight reasons, the rest under the last one. */
  readonly reasons: ReadonlyMap<string, number>
  /** For an `error_message`: `2 spans refused: trace_id has 15 bytes, not 16 (2)`. */
  describe(itemName: string): string
}

export interface RefusalList extends Refusals {
  add(items: number, reason: string): void
}

const maximumReasons = 8
const others = 'other faults'

export function createRefusals(): RefusalList {
  let total = 0
  const reasons = new Map<string, number>()
  return {
    get items() {
      return total
    },
    reasons,
    add(items, reason) {
      total += items
      const key = reasons.has(reason) || reasons.size < maximumReasons - 1 ? reason : others
      reasons.set(key, (reasons.get(key) ?? 0) + items)
    },
    describe(itemName) {
      const list = [...reasons].map(([reason, items]) => `${reason} (${items})`).join('; ')
      return `${total} ${itemName} refused: ${list}`
    },
  }
}

/** Of the many requests in which nothing is broken. */
export const noRefusals: Refusals = createRefusals()
