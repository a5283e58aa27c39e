/** FNV-1a, 64 bits (offset basis 0xcbf29ce484222325, prime 2^40 + 0x1b3), in two halves: no BigInt where packets fly. */
export interface RunningHash {
  high: number
  low: number
}

export function startHash(): RunningHash {
  return { high: 0xcbf29ce4, low: 0x84222325 }
}

export function addToHash(hash: RunningHash, bytes: Uint8Array, from: number, to: number): void {
  let { high, low } = hash
  for (let at = from; at < to; at++) {
    low = (low ^ bytes[at]!) >>> 0
    const product = low * 0x1b3 // < 2^41, exact
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 0x100000000) + (low << 8)) >>> 0
    low = product >>> 0
  }
  hash.high = high
  hash.low = low
}

/** 16 hex digits. */
export function hashToHex(hash: RunningHash): string {
  return hash.high.toString(16).padStart(8, '0') + hash.low.toString(16).padStart(8, '0')
}
