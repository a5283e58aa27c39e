/** A length-encoded integer (MySQL's `int<lenenc>`) at `at`: its value and where it ends; undefined when it is cut or none. */
export function readLength(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  const first = bytes[at]
  if (first === undefined || first === 0xfb || first === 0xff) return undefined
  if (first < 0xfb) return { value: first, end: at + 1 }
  const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 8
  if (at + 1 + size > bytes.length) return undefined
  let value = 0
  for (let index = size; index >= 1; index--) value = value * 256 + bytes[at + index]!
  return { value, end: at + 1 + size }
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (readUint16(bytes, at) | (readUint16(bytes, at + 2) << 16)) >>> 0
}

/** Text up to a NUL (or the end), and the position behind it. */
export function readNulText(bytes: Uint8Array, at: number): { text: string; end: number } {
  const nul = bytes.indexOf(0, at)
  const end = nul === -1 ? bytes.length : nul
  return { text: readText(bytes, at, end), end: end + 1 }
}

export function readText(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.max(0, to - from)).toString('utf8')
}
