/** Node's own decoder, which takes any Uint8Array as `this`; its types leave it out. A third of the cost of `toString` on a view. */
interface NodeDecoder {
  utf8Slice(this: Uint8Array, from: number, to: number): string
}
const { utf8Slice } = Buffer.prototype as unknown as NodeDecoder

/**
 * Keys and most values repeat from span to span. Short ASCII texts lately read are kept by a hash of some of their bytes, the bytes
 * beside them: to find one again costs a quarter of decoding it, and all readers share one string. A slot that is taken is overwritten.
 */
const slots = 2048
const slotBytes = 48
const lately = new Array<string>(slots).fill('')
const latelyBytes = new Uint8Array(slots * slotBytes)

/** UTF-8 of a range; what is not UTF-8 becomes U+FFFD (the bytes themselves stay as they are). */
export function readText(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from
  if (length > slotBytes) return utf8Slice.call(bytes, from, to)
  if (length <= 0) return ''
  const slot =
    (bytes[from]! * 31 + bytes[to - 1]! * 577 + bytes[from + (length >> 1)]! * 1601 + length * 7919) &
    (slots - 1)
  const known = lately[slot]!
  const slotAt = slot * slotBytes
  if (known.length === length) {
    let index = 0
    while (index < length && latelyBytes[slotAt + index] === bytes[from + index]) index++
    if (index === length) return known
  }
  const text = utf8Slice.call(bytes, from, to)
  // As many UTF-16 units as bytes: ASCII, or bytes that are no UTF-8, which decode to the same text again.
  if (text.length === length) {
    lately[slot] = text
    for (let index = 0; index < length; index++) latelyBytes[slotAt + index] = bytes[from + index]!
  }
  return text
}

/** Whether a range of bytes is that text, as `readText` would read it. */
export function isText(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  const { length } = text
  if (to - from < length) return false
  // Names have beginnings in common, seldom ends.
  const last = text.charCodeAt(length - 1)
  if (last < 128 && bytes[to - 1] !== last) return false
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 128) return utf8Slice.call(bytes, from, to) === text
    if (from + index >= to || bytes[from + index] !== code) return false
  }
  return to - from === length
}
