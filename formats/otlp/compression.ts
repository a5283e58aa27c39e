import { promisify } from 'node:util'
import zlib from 'node:zlib'

/** Content codings that Fullspan reads. */
export type Coding = 'gzip' | 'deflate'

/** Reading went beyond the limit for inflated bytes. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError'
}

/** The bytes are not what their coding says, or end early. */
export class BadCodingError extends Error {
  override readonly name = 'BadCodingError'
}

/** Codings of a Content-Encoding, outermost last; case does not matter, `x-gzip` is gzip. undefined: one is not known. */
export function codingsOf(contentEncoding: string | undefined): readonly Coding[] | undefined {
  if (contentEncoding === undefined) return none
  const codings: Coding[] = []
  for (const part of contentEncoding.split(',')) {
    const name = part.trim().toLowerCase()
    if (name === '' || name === 'identity' || name === 'none') continue
    if (name === 'gzip' || name === 'x-gzip') codings.push('gzip')
    else if (name === 'deflate') codings.push('deflate')
    else return undefined
  }
  return codings.length > maximumCodings ? undefined : codings
}

const none: readonly Coding[] = []

/** Nobody compresses twice; each further layer could inflate a thousandfold. */
const maximumCodings = 2

/**
 * Inflates. Up to `syncBytes` it happens at once, since handing 50 kB to another thread and back costs more than inflating them;
 * what is larger may be a bomb and runs beside the event loop. gzip may have several members.
 */
export async function inflate(
  bytes: Uint8Array,
  codings: readonly Coding[],
  maximumBytes: number,
): Promise<Uint8Array> {
  let inflated = bytes
  for (const coding of codings.toReversed()) inflated = await inflateOne(inflated, coding, maximumBytes)
  return inflated
}

const syncBytes = 128 * 1024
const gunzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gunzip)
const inflateZlib = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.inflate)
const inflateRaw = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.inflateRaw)

async function inflateOne(bytes: Uint8Array, coding: Coding, maximumBytes: number): Promise<Uint8Array> {
  // Text of telemetry shrinks to a tenth, so this is mostly one or two chunks.
  const chunkSize = Math.min(1024 * 1024, Math.max(16 * 1024, bytes.length * 8))
  const options = { maxOutputLength: maximumBytes, chunkSize }
  const isSync = bytes.length <= syncBytes
  try {
    if (coding === 'gzip') return isSync ? zlib.gunzipSync(bytes, options) : await gunzip(bytes, options)
    if (hasZlibHeader(bytes)) {
      return isSync ? zlib.inflateSync(bytes, options) : await inflateZlib(bytes, options)
    }
    return isSync ? zlib.inflateRawSync(bytes, options) : await inflateRaw(bytes, options)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new TooLargeError(`the inflated body is larger than ${maximumBytes} bytes`, { cause: error })
    }
    throw new BadCodingError(`the body is not ${coding}`, { cause: error })
  }
}

/** RFC 9110 means zlib by deflate; some senders leave its header out. */
function hasZlibHeader(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && (bytes[0]! & 0x0f) === 8 && ((bytes[0]! << 8) | bytes[1]!) % 31 === 0
}

const gzipAsync = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip)

/** Level 1: on telemetry nearly as small as level 6, at a third of its time. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const options = { level: 1, chunkSize: Math.min(1024 * 1024, Math.max(16 * 1024, bytes.length >> 2)) }
  return bytes.length <= syncBytes ? zlib.gzipSync(bytes, options) : await gzipAsync(bytes, options)
}
