/**
 * Keys that turned up on more exchanges than nest in one another: they prove nothing, and stay so when all but one of their exchanges
 * have left. Bounded: the oldest are forgotten, and found out again.
 */
export interface Demotion {
  has(key: string): boolean
  add(key: string): void
  readonly size: number
}

const most = 10_000

export function createDemotion(): Demotion {
  const keys = new Set<string>()
  return {
    has: key => keys.has(key),
    add(key) {
      keys.add(key)
      if (keys.size <= most) return
      for (const oldest of keys) {
        keys.delete(oldest)
        return
      }
    },
    get size() {
      return keys.size
    },
  }
}
