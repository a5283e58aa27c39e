import { nested } from '../../model/attributes.ts'
import { type Cursor, readInt64, readText, readVarint, skipValue, Writer } from '../../model/wire.ts'
import { checkMessage } from './check-message.ts'
import type { Encoding } from './encoding.ts'
import { planOf } from './plan.ts'

/** gRPC status codes (google.rpc.Code). */
export const grpcCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

/** A google.rpc.Status with the details that OTLP speaks of. */
export interface Status {
  readonly code: number
  readonly message: string
  /** RetryInfo: do not come back before. */
  readonly retryAfterMs?: number
  /** BadRequest: what is wrong with the request. */
  readonly violations?: readonly string[]
}

/** Text that others wrote, short enough to be a part of an answer: responses are limited (OTLP 1.11 "Response"). */
export function shorten(text: string): string {
  return text.length > maximumTextLength ? `${text.slice(0, maximumTextLength)}…` : text
}

const maximumTextLength = 200

const typeUrl = (name: string) => `type.googleapis.com/google.rpc.${name}`

/** As the body of an HTTP reply, or (protobuf) for `grpc-status-details-bin`. */
export function encodeStatus(status: Status, encoding: Encoding = 'protobuf'): Uint8Array {
  return encoding === 'json' ? Buffer.from(JSON.stringify(statusJson(status))) : statusBytes(status)
}

/** Details in proto3's JSON form of Any: the fields beside `@type`. */
function statusJson({ code, message, retryAfterMs, violations }: Status): object {
  const details: object[] = []
  if (violations) {
    const fieldViolations = violations.map(description => ({ description }))
    details.push({ '@type': typeUrl('BadRequest'), fieldViolations })
  }
  if (retryAfterMs !== undefined) {
    details.push({ '@type': typeUrl('RetryInfo'), retryDelay: `${retryAfterMs / 1000}s` })
  }
  return { code, message, ...(details.length > 0 && { details }) }
}

function statusBytes({ code, message, retryAfterMs, violations }: Status): Uint8Array {
  const writer = new Writer(256)
  if (code !== 0) {
    writer.tag(1, 0)
    writer.varint(code)
  }
  if (message !== '') writer.stringField(2, message)
  if (violations) {
    writeDetail(writer, 'BadRequest', () => {
      for (const description of violations) writer.message(1, () => writer.stringField(2, description))
    })
  }
  if (retryAfterMs !== undefined) {
    writeDetail(writer, 'RetryInfo', () => writer.message(1, () => writeDuration(writer, retryAfterMs)))
  }
  return writer.finish()
}

function writeDetail(writer: Writer, name: string, write: () => void): void {
  writer.message(3, () => {
    writer.stringField(1, typeUrl(name))
    writer.message(2, write)
  })
}

/** google.protobuf.Duration: seconds = 1, nanos = 2 */
function writeDuration(writer: Writer, durationMs: number): void {
  writer.tag(1, 0)
  writer.varint(Math.floor(durationMs / 1000))
  writer.tag(2, 0)
  writer.varint(Math.round((durationMs % 1000) * 1_000_000))
}

/** Reads a Status in protobuf or JSON; undefined where the bytes are none (a proxy's error page). */
export function decodeStatus(bytes: Uint8Array, encoding: Encoding = 'protobuf'): Status | undefined {
  if (encoding === 'json') return decodeStatusJson(bytes)
  if (bytes.length === 0 || !checkMessage(planOf('Status'), bytes, 0, bytes.length, 0)) return undefined
  let code = 0
  let message = ''
  let retryAfterMs: number | undefined
  eachField(bytes, (tag, cursor) => {
    if (tag === 8) code = Number(BigInt.asIntN(32, readInt64(cursor)))
    else if (tag === 18) message = textOf(nested(cursor))
    else if (tag === 26) retryAfterMs = retryInfoMs(rangeOf(nested(cursor))) ?? retryAfterMs
    else return false
    return true
  })
  return { code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** The delay in a google.protobuf.Any if it holds a RetryInfo. */
function retryInfoMs(any: Uint8Array): number | undefined {
  const found = { typeUrl: '', value: new Uint8Array(0) as Uint8Array, delayMs: 0 }
  eachField(any, (tag, cursor) => {
    if (tag === 10) found.typeUrl = textOf(nested(cursor))
    else if (tag === 18) found.value = rangeOf(nested(cursor))
    else return false
    return true
  })
  const { typeUrl: url, value } = found
  if (!url.endsWith('/google.rpc.RetryInfo')) return undefined
  if (!checkMessage(planOf('RetryInfo'), value, 0, value.length, 0)) return undefined
  eachField(value, (tag, cursor) => {
    if (tag !== 10) return false
    eachField(rangeOf(nested(cursor)), (innerTag, inner) => {
      if (innerTag === 8) found.delayMs += Number(readInt64(inner)) * 1000
      else if (innerTag === 16) found.delayMs += Number(readInt64(inner)) / 1_000_000
      else return false
      return true
    })
    return true
  })
  return Math.max(0, found.delayMs)
}

/** Calls `read` with each tag; what it does not pass (false) is skipped. */
function eachField(bytes: Uint8Array, read: (tag: number, cursor: Cursor) => boolean): void {
  const cursor: Cursor = { bytes, at: 0, end: bytes.length }
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (!read(tag, cursor)) skipValue(cursor, tag & 7)
  }
}

function rangeOf({ bytes, at, end }: Cursor): Uint8Array {
  return bytes.subarray(at, end)
}

function textOf({ bytes, at, end }: Cursor): string {
  return readText(bytes, at, end)
}

function decodeStatusJson(bytes: Uint8Array): Status | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null) return undefined
    const code = 'code' in parsed && typeof parsed.code === 'number' ? parsed.code : 0
    const message = 'message' in parsed && typeof parsed.message === 'string' ? parsed.message : ''
    return { code, message }
  } catch {
    return undefined
  }
}
