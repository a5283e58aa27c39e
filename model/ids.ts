/** Node's own encoder, which takes any Uint8Array as `this`; its types leave it out. */
const { hexSlice } = Buffer.prototype as unknown as {
  hexSlice(this: Uint8Array, from: number, to: number): string
}

/** Lower-case hex of a range of bytes. */
export function hexOf(bytes: Uint8Array, from = 0, to = bytes.length): string {
  return hexSlice.call(bytes, from, to)
}

/** Bytes of a hex text of even length; '' gives none. */
export function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = (digit(hex.charCodeAt(index * 2)) << 4) | digit(hex.charCodeAt(index * 2 + 1))
  }
  return bytes
}

/** An id of 0 is no id (W3C Trace Context §3.2.2.3, OTLP). */
export function isNoId(hex: string): boolean {
  for (let index = 0; index < hex.length; index++) if (hex.charCodeAt(index) !== 48) return false
  return true
}

function digit(code: number): number {
  return code <= 57 ? code - 48 : (code & 0x0f) + 9
}
