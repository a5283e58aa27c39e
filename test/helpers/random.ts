export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number
  hex(digits: number): string
  chance(share: number): boolean
  shuffled<T>(items: readonly T[]): T[]
}

/** mulberry32: small, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    hex: digits => Array.from({ length: digits }, () => (1 + below(15)).toString(16)).join(''),
    chance: share => next() < share,
    shuffled(items) {
      const list = [...items]
      for (let at = list.length - 1; at > 0; at--) {
        const other = below(at + 1)
        ;[list[at], list[other]] = [list[other]!, list[at]!]
      }
      return list
    },
  }
}
