import { copyBytes } from './bytes.ts'

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

export * from './bytes.ts'
export { readText } from './text.ts'

/** A place in bytes. `end` bounds the message being read; who reads a nested one sets it, and sets it back. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
  end: number
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

/** Bounds the cursor to the length-delimited value it stands at. Gives back the end it had, to be set again. */
export function enter(cursor: Cursor): number {
  const outer = cursor.end
  const length = readVarint(cursor)
  cursor.end = cursor.at + length
  return outer
}

/** Reads a varint as a signed 64-bit integer: a number where it is safe. */
export function readInteger(cursor: Cursor): number | bigint {
  const { bytes, at } = cursor
  let value = 0
  let scale = 1
  for (let index = 0; index < 7; index++) {
    const byte = bytes[at + index]!
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      cursor.at = at + index + 1
      return value
    }
    scale *= 128
  }
  const wide = readInt64(cursor)
  const narrow = Number(wide)
  return Number.isSafeInteger(narrow) ? narrow : wide
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
  takeFixed64(bytes, at)
  return scratch.getBigUint64(0)
}

export function readDouble(bytes: Uint8Array, at: number): number {
  takeFixed64(bytes, at)
  return scratch.getFloat64(0)
}

function takeFixed64(bytes: Uint8Array, at: number): void {
  scratch.setUint32(4, readFixed32(bytes, at))
  scratch.setUint32(0, readFixed32(bytes, at + 4))
}

const scratch = new DataView(new ArrayBuffer(8))

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

/** Bytes `from` to `to` of a buffer that may hold other things beside them. */
export interface Range {
  readonly bytes: Uint8Array
  readonly from: number
  readonly to: number
}

/** Grows as it is written to. One is reused for many messages: `finish` copies one out, `keep` leaves it where it is. */
export class Writer {
  private buffer: Uint8Array
  private at = 0
  /** Where the message being written begins: before it lie messages that were kept. */
  private start = 0
  private readonly initialBytes: number

  constructor(initialBytes = 1024) {
    this.initialBytes = initialBytes
    this.buffer = new Uint8Array(initialBytes)
  }

  get length(): number {
    return this.at - this.start
  }

  /** Forgets what was written, also what a throw left half done. */
  reset(): void {
    this.at = this.start
  }

  /** Forgets what was written after `length`, as it was read from `length` before. Not inside a `message` begun later. */
  cutTo(length: number): void {
    this.at = this.start + length
  }

  varint(value: number): void {
    this.reserve(10)
    this.at = putVarint(this.buffer, this.at, value)
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

  byte(value: number): void {
    if (this.at === this.buffer.length) this.reserve(1)
    this.buffer[this.at++] = value
  }

  /** Text that is ASCII. */
  ascii(text: string): void {
    const { length } = text
    this.reserve(length)
    const { buffer, at } = this
    for (let index = 0; index < length; index++) buffer[at + index] = text.charCodeAt(index)
    this.at = at + length
  }

  /** Bytes of a hex text of even length. */
  hex(text: string): void {
    const { length } = text
    this.reserve(length >> 1)
    const { buffer } = this
    for (let index = 0; index < length; index += 2) {
      buffer[this.at++] = (digitOf(text.charCodeAt(index)) << 4) | digitOf(text.charCodeAt(index + 1))
    }
  }

  /**
   * A KeyValue (common/v1: key = 1, value = 2) with a text, if both are ASCII and so short that all lengths are one byte; else
   * nothing, and false. Most attributes are, and cost a third of nested `message`s.
   */
  shortKeyValue(field: number, key: string, text: string): boolean {
    const inner = text.length + 2
    const size = key.length + inner + 4
    if (size >= 128 || field >= 16) return false
    this.reserve(size + 2)
    const { buffer } = this
    let { at } = this
    buffer[at++] = field * 8 + wireBytes
    buffer[at++] = size
    buffer[at++] = (1 << 3) | wireBytes
    buffer[at++] = key.length
    let codes = 0
    for (let index = 0; index < key.length; index++) codes |= buffer[at++] = key.charCodeAt(index)
    buffer[at++] = (2 << 3) | wireBytes
    buffer[at++] = inner
    buffer[at++] = (1 << 3) | wireBytes
    buffer[at++] = text.length
    for (let index = 0; index < text.length; index++) codes |= buffer[at++] = text.charCodeAt(index)
    if (codes >= 128) return false
    this.at = at
    return true
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

  /** A length-delimited field whose value is a range of other bytes. */
  rangeField(field: number, bytes: Uint8Array, from: number, to: number): void {
    this.tag(field, wireBytes)
    this.varint(to - from)
    this.range(bytes, from, to)
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

  /** A nested message written by `write`, with its length put before it. Gives back its size. */
  message(field: number, write: () => void): number {
    this.tag(field, wireBytes)
    this.reserve(1)
    const lengthAt = this.length
    this.at++
    write()
    const size = this.length - lengthAt - 1
    const extra = varintSize(size) - 1
    this.reserve(extra)
    const begin = this.start + lengthAt + 1
    if (extra > 0) this.buffer.copyWithin(begin + extra, begin, begin + size)
    putVarint(this.buffer, begin - 1, size)
    this.at = begin + extra + size
    return size
  }

  /** The message, as bytes of its own. */
  finish(): Uint8Array {
    const out = copyBytes(this.buffer, this.start, this.at)
    this.at = this.start
    return out
  }

  /** The message, where it was written. The next one comes behind it. */
  keep(): Range {
    const range = { bytes: this.buffer, from: this.start, to: this.at }
    this.start = this.at
    return range
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
    if (this.at + more <= this.buffer.length) return
    const { length } = this
    const grown = new Uint8Array(Math.max(this.initialBytes, (length + more) * 2))
    grown.set(this.buffer.subarray(this.start, this.at))
    this.buffer = grown
    this.start = 0
    this.at = length
  }
}

function digitOf(code: number): number {
  return code <= 57 ? code - 48 : (code & 0x0f) + 9
}

/** Puts a non-negative safe integer at `at`, where there is room for it. Gives back the place behind it. */
function putVarint(buffer: Uint8Array, at: number, value: number): number {
  while (value >= 2 ** 31) {
    buffer[at++] = (value % 128) | 0x80
    value = Math.floor(value / 128)
  }
  while (value >= 128) {
    buffer[at++] = value | 0x80
    value >>>= 7
  }
  buffer[at++] = value
  return at
}

const utf8 = new TextEncoder()
const doubleBytes = new Uint8Array(8)
const doubleView = new DataView(doubleBytes.buffer)
