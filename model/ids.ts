const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hex of a range of bytes. */
export function hexOf(bytes: Uint8Array, from = 0, to = bytes.length): string {
  let text = ''
  for (let index = from; index < to; index++) text += hexPairs[bytes[index]!]!
  return text
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
