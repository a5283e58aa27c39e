/** Length-prefixed messages of gRPC over HTTP/2 (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), for unary calls. */

const prefixBytes = 5

export interface Frame {
  readonly isCompressed: boolean
  readonly bytes: Uint8Array
}

/** Why a stream of bytes is not one message. */
export type FrameFault = 'none' | 'several' | 'cut off' | 'too large' | 'bad flag'

/** One message with its prefix, in one piece: HTTP/2 then has one DATA write. */
export function encodeFrame(bytes: Uint8Array, isCompressed: boolean): Uint8Array {
  const framed = Buffer.allocUnsafe(prefixBytes + bytes.length)
  framed.set(framePrefix(bytes.length, isCompressed))
  framed.set(bytes, prefixBytes)
  return framed
}

/** The prefix of a message of that size. */
export function framePrefix(sizeBytes: number, isCompressed: boolean): Uint8Array {
  const prefix = Buffer.allocUnsafe(prefixBytes)
  prefix[0] = isCompressed ? 1 : 0
  prefix.writeUInt32BE(sizeBytes, 1)
  return prefix
}

/** Collects what arrives in pieces, split anywhere, until the sender is done. */
export interface FrameCollector {
  /** 'too large' as soon as the prefix says so: nothing more is kept then. */
  add(chunk: Uint8Array): 'too large' | undefined
  /** The one message, when all has come. */
  finish(): Frame | FrameFault
}

export function collectFrame(maximumBytes: number): FrameCollector {
  const chunks: Uint8Array[] = []
  let size = 0
  return {
    add(chunk) {
      chunks.push(chunk)
      size += chunk.length
      const length = messageLength(chunks, size)
      if (length === undefined || length <= maximumBytes) return undefined
      chunks.length = 0
      return 'too large'
    },
    finish() {
      if (size === 0) return 'none'
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
      if (size < prefixBytes) return 'cut off'
      const length = readUint32(all, 1)
      if (size < prefixBytes + length) return 'cut off'
      if (size > prefixBytes + length) return 'several'
      if (all[0]! > 1) return 'bad flag'
      return { isCompressed: all[0] === 1, bytes: all.subarray(prefixBytes) }
    },
  }
}

function messageLength(chunks: Uint8Array[], size: number): number | undefined {
  if (size < prefixBytes) return undefined
  if (chunks[0]!.length < prefixBytes) chunks.splice(0, chunks.length, Buffer.concat(chunks, size))
  return readUint32(chunks[0]!, 1)
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000001,
}

/** `grpc-timeout` in ms: at most eight digits and a unit; undefined where it is malformed. */
export function parseGrpcTimeout(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * unitMs[unit]!
}

export function formatGrpcTimeout(timeoutMs: number): string {
  if (timeoutMs < 100_000_000) return `${Math.max(1, Math.ceil(timeoutMs))}m`
  return `${Math.min(99_999_999, Math.ceil(timeoutMs / 1000))}S`
}

/** `grpc-message`: printable ASCII as it is, the rest of its UTF-8 percent-encoded. */
export function encodeGrpcMessage(message: string): string {
  let text = ''
  for (const byte of Buffer.from(message)) {
    text +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/** Never fails: what is no percent-encoding stays as it is. */
export function decodeGrpcMessage(text: string): string {
  const bytes: number[] = []
  for (let at = 0; at < text.length; at++) {
    const [, hex] = text[at] === '%' ? (/^%([\dA-Fa-f]{2})/.exec(text.slice(at, at + 3)) ?? []) : []
    if (hex === undefined) bytes.push(text.charCodeAt(at) & 0xff)
    else {
      bytes.push(Number.parseInt(hex, 16))
      at += 2
    }
  }
  return Buffer.from(bytes).toString('utf8')
}
