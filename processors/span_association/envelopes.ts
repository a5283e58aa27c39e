import type { Envelope } from '../../model/resource.ts'

/**
 * One object for all equal envelopes, with bytes of its own: what leaves is grouped by identity, and what is worked out for a
 * resource is worked out once. Two generations of bounded size: when the younger is full, the older is forgotten.
 */
export function createEnvelopes(limit = 10_000) {
  let young = new Map<number, Envelope[]>()
  let old = new Map<number, Envelope[]>()
  let count = 0
  /** What came lately, by what it was: senders' requests are read once, their envelopes looked up for every group. */
  const known = new WeakMap<Envelope, Envelope>()

  function find(envelope: Envelope): Envelope {
    const { hash } = envelope
    const same = young.get(hash)?.find(each => each.equals(envelope))
    if (same) return same
    const own = old.get(hash)?.find(each => each.equals(envelope)) ?? envelope.detached()
    if (++count > limit / 2) {
      old = young
      young = new Map()
      count = 1
    }
    const bucket = young.get(hash)
    if (bucket) bucket.push(own)
    else young.set(hash, [own])
    return own
  }

  return {
    intern(envelope: Envelope): Envelope {
      let own = known.get(envelope)
      if (!own) {
        own = find(envelope)
        known.set(envelope, own)
      }
      return own
    },
  }
}
