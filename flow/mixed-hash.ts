/**
 * 128 bits that depend on every word put in, by the rounds of MurmurHash3 (x86, 128 bits) with one word a round. Not a secret:
 * ids must be well spread and the same in a replay, and cost nothing where exchanges fly.
 */
export interface MixedHash {
  a: number
  b: number
  c: number
  d: number
}

export function hashOfText(text: string): MixedHash {
  const hash: MixedHash = { a: 0x9747b28c, b: 0x3c6ef372, c: 0x1b873593, d: text.length }
  for (let at = 0; at < text.length; at += 2) {
    const second = at + 1 < text.length ? text.charCodeAt(at + 1) : 0
    addWord(hash, text.charCodeAt(at) | (second << 16))
  }
  return hash
}

export function copyOf({ a, b, c, d }: MixedHash): MixedHash {
  return { a, b, c, d }
}

/** `word`: its lower 32 bits count. */
export function addWord(hash: MixedHash, word: number): void {
  const mixed = Math.imul(rotate(Math.imul(word, 0x239b961b), 15), 0xab0e9789 | 0)
  const next = (Math.imul(rotate(hash.a ^ mixed, 19) + hash.b, 5) + 0x561ccd1b) | 0
  hash.a = hash.b
  hash.b = hash.c
  hash.c = hash.d
  hash.d = next
}

/** The last step: call it once. */
export function finish(hash: MixedHash): MixedHash {
  for (let round = 0; round < 4; round++) addWord(hash, round)
  const a = spread(hash.a)
  const b = spread(hash.b ^ a)
  const c = spread(hash.c ^ b)
  const d = spread(hash.d ^ c)
  hash.a = (a + d) | 0
  hash.b = (b + hash.a) | 0
  hash.c = (c + hash.b) | 0
  hash.d = (d + hash.c) | 0
  return hash
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

function spread(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}

/** 8 hex digits of each. */
export function hexOf(...words: readonly number[]): string {
  return words.map(word => (word >>> 0).toString(16).padStart(8, '0')).join('')
}
