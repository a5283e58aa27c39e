/**
 * Protobuf's wire format (protobuf.dev/programming-guides/encoding), as far as telemetry needs it: plain functions over a
 * cursor, no message classes. The reading side trusts its bytes: `formats/otlp/check.ts` has seen them to the leaves.
 */
export const wireVarint = 0
export const wireFixed64 = 1
export const wireBytes = 2
export const wireGroupStart = 3
export const wireGroupEnd = 4
export const wireFixed32 = 5

/** A place in bytes. `end` bounds the message being read. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
}

/** Reads a varint of up to 53 bits (tags, lengths, enums); higher bits are lost, the cursor still passes them. */
export function readVarint(cursor: Cursor): number {
  const { bytes } = cursor
  let byte = bytes[cursor.at++]!
  if (byte < 0x80) return byte
  let value = byte & 0x7f
  let scale = 128
  for (let index = 1; index < 10; index++) {
    byte = bytes[cursor.at++]!
    if (index < 8) value += (byte & 0x7f) * scale
    scale *= 128
    if (byte < 0x80) return value
  }
  return value
}

/** Reads a varint as a signed 64-bit integer. */
export function readInt64(cursor: Cursor): bigint {
  let value = 0n
  let shift = 0n
  for (;;) {
    const byte = cursor.bytes[cursor.at++]!
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return BigInt.asIntN(64, value)
    shift += 7n
  }
}

/** Moves past the value of a field whose tag was just read. */
export function skipValue(cursor: Cursor, wireType: number): void {
  switch (wireType) {
    case wireVarint:
      while (cursor.bytes[cursor.at++]! >= 0x80);
      return
    case wireFixed64:
      cursor.at += 8
      return
    case wireBytes: {
      const length = readVarint(cursor)
      cursor.at += length
      return
    }
    case wireGroupStart:
      for (;;) {
        const inner = readVarint(cursor) & 7
        if (inner === wireGroupEnd) return
        skipValue(cursor, inner)
      }
    default:
      cursor.at += 4
  }
}

export function readFixed64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readFixed32(bytes, at + 4)) << 32n) | BigInt(readFixed32(bytes, at))
}

export function readFixed32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** Bytes that a varint takes. `value` is a non-negative safe integer. */
export function varintSize(value: number): number {
  let size = 1
  while (value >= 128) {
    value = Math.floor(value / 128)
    size++
  }
  return size
}

/** Grows as it is written to. One is reused per encode; `finish` copies out. */
export class Writer {
  private buffer: Uint8Array
  private at = 0

  constructor(initialBytes = 1024) {
    this.buffer = new Uint8Array(initialBytes)
  }

  get length(): number {
    return this.at
  }

  /** Forgets what was written, also what a throw left half done. */
  reset(): void {
    this.at = 0
  }

  /** Forgets what was written after `length`, as it was read from `length` before. Not inside a `message` begun later. */
  cutTo(length: number): void {
    this.at = length
  }

  varint(value: number): void {
    this.reserve(10)
    const { buffer } = this
    while (value >= 128) {
      buffer[this.at++] = (value % 128) | 0x80
      value = Math.floor(value / 128)
    }
    buffer[this.at++] = value
  }

  int64(value: bigint): void {
    this.reserve(10)
    let rest = BigInt.asUintN(64, value)
    while (rest >= 128n) {
      this.buffer[this.at++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.buffer[this.at++] = Number(rest)
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType)
  }

  fixed64(value: bigint): void {
    this.fixed32(Number(BigInt.asUintN(32, value)))
    this.fixed32(Number(BigInt.asUintN(32, value >> 32n)))
  }

  fixed32(value: number): void {
    this.reserve(4)
    const { buffer, at } = this
    buffer[at] = value
    buffer[at + 1] = value >>> 8
    buffer[at + 2] = value >>> 16
    buffer[at + 3] = value >>> 24
    this.at = at + 4
  }

  double(value: number): void {
    doubleView.setFloat64(0, value, true)
    this.raw(doubleBytes)
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.at)
    this.at += bytes.length
  }

  /** A range of other bytes, without making a view of it. */
  range(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from
    this.reserve(length)
    if (length < 48) {
      const { buffer } = this
      let { at } = this
      for (let index = from; index < to; index++) buffer[at++] = bytes[index]!
      this.at = at
    } else {
      this.buffer.set(bytes.subarray(from, to), this.at)
      this.at += length
    }
  }

  /** A length-delimited field. */
  bytesField(field: number, bytes: Uint8Array): void {
    this.tag(field, wireBytes)
    this.varint(bytes.length)
    this.raw(bytes)
  }

  stringField(field: number, text: string): void {
    this.tag(field, wireBytes)
    const { length } = text
    if (length < 100) {
      this.reserve(1 + length)
      if (this.asciiAt(text)) return
    }
    const size = Buffer.byteLength(text)
    this.varint(size)
    this.reserve(size)
    utf8.encodeInto(text, this.buffer.subarray(this.at))
    this.at += size
  }

  /** A nested message written by `write`, with its length put before it. */
  message(field: number, write: () => void): void {
    this.tag(field, wireBytes)
    this.reserve(5)
    const lengthAt = this.at++
    const start = this.at
    write()
    const size = this.at - start
    const extra = varintSize(size) - 1
    if (extra > 0) {
      this.reserve(extra)
      this.buffer.copyWithin(start + extra, start, this.at)
    }
    this.at = lengthAt
    this.varint(size)
    this.at = start + extra + size
  }

  finish(): Uint8Array {
    const out = this.buffer.slice(0, this.at)
    this.at = 0
    return out
  }

  private asciiAt(text: string): boolean {
    const { buffer, at } = this
    const { length } = text
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index)
      if (code >= 128) return false
      buffer[at + 1 + index] = code
    }
    buffer[at] = length
    this.at = at + 1 + length
    return true
  }

  private reserve(more: number): void {
    const needed = this.at + more
    if (needed <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2))
    grown.set(this.buffer.subarray(0, this.at))
    this.buffer = grown
  }
}

/** Joins byte arrays; one alone is given back as it is. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  let size = 0
  for (const part of parts) size += part.length
  const out = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Bytes of their own: Buffer's `slice` shares memory, Uint8Array's copies. */
export function copyBytes(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, from, to)
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && Buffer.compare(a, b) === 0)
}

/** UTF-8 of a range; what is not UTF-8 becomes U+FFFD (the bytes themselves stay as they are). */
export function readText(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from
  if (length < 24) {
    let text = ''
    for (let index = from; index < to; index++) {
      const code = bytes[index]!
      if (code >= 128) return decodeText(bytes, from, to)
      text += String.fromCharCode(code)
    }
    return text
  }
  return decodeText(bytes, from, to)
}

function decodeText(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8')
}

const utf8 = new TextEncoder()
const doubleBytes = new Uint8Array(8)
const doubleView = new DataView(doubleBytes.buffer)
