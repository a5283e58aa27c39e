import { names } from '../model/attribute-names.ts'
import { Span } from '../model/span.ts'
import type { SeenExchange } from './conversation.ts'
import { spanWordsOf, traceWordsOf } from './ids.ts'
import type { MixedHash } from './mixed-hash.ts'
import type { FinishedSpan } from './span-of-exchange.ts'

/** When and under which numbers an exchange took place. */
export interface Occurrence {
  readonly requestSeq: number
  readonly responseSeq: number
  readonly firstNs: bigint
  readonly lastNs: bigint
  /** Unix time minus kernel time. */
  readonly offset: bigint
}

/** A span whose ids, times and sequence numbers can be exchanged for those of another exchange with the same bytes. */
export interface SpanTemplate {
  readonly finished: FinishedSpan
  /** undefined: a number needs more bytes, or fewer, than it has room for. */
  repeat(occurrence: Occurrence): FinishedSpan | undefined
}

/** undefined: its fields do not lie where they are looked for. */
export function createTemplate(
  finished: FinishedSpan,
  exchange: SeenExchange,
  hashes: { readonly place: MixedHash; readonly traceKey: MixedHash },
): SpanTemplate | undefined {
  const bytes = Buffer.from(finished.span.bytes)
  const fields = fieldsOf(bytes)
  const { request, response } = exchange
  const requestSeq = numberAt(bytes, names.keyRequestSeq, request.seq)
  const responseSeq = numberAt(bytes, names.keyResponseSeq, response?.seq ?? 0)
  if (fields === undefined || requestSeq === undefined || responseSeq === undefined) return undefined

  return {
    finished,
    repeat(occurrence) {
      if (!fits(requestSeq, occurrence.requestSeq) || !fits(responseSeq, occurrence.responseSeq))
        return undefined
      const copy = Buffer.from(bytes)
      const trace = traceWordsOf(hashes.traceKey, occurrence.requestSeq, occurrence.responseSeq)
      const span = spanWordsOf(hashes.place, occurrence.requestSeq, occurrence.firstNs)
      writeWords(copy, fields.traceId, [trace.a, trace.b, trace.c, trace.d])
      writeWords(copy, fields.spanId, [span.a, span.b])
      copy.writeBigUInt64LE(occurrence.firstNs + occurrence.offset, fields.start)
      copy.writeBigUInt64LE(occurrence.lastNs + occurrence.offset, fields.end)
      writeNumber(copy, requestSeq, occurrence.requestSeq)
      writeNumber(copy, responseSeq, occurrence.responseSeq)
      return { resource: finished.resource, scope: finished.scope, span: new Span(copy) }
    },
  }
}

interface Fields {
  readonly traceId: number
  readonly spanId: number
  readonly start: number
  readonly end: number
}

/** Tags of Span's fields as `writeSpan` writes them, in its order: trace_id, span_id, …, start, end (opentelemetry.proto.trace.v1). */
function fieldsOf(bytes: Buffer): Fields | undefined {
  if (bytes[0] !== 0x0a || bytes[1] !== 16 || bytes[18] !== 0x12 || bytes[19] !== 8) return undefined
  let at = 28
  if (bytes[at] === 0x2a) at += 2 + bytes[at + 1]! // name; a long one has a length of two bytes, and is not repeated
  if (bytes[at] === 0x30) at += 2 // kind
  if (bytes[at] !== 0x39 || bytes[at + 9] !== 0x41) return undefined
  return { traceId: 2, spanId: 20, start: at + 1, end: at + 10 }
}

/** Where a number stands, and in how many bytes. */
interface Place {
  readonly at: number
  readonly size: number
}

/** The value of an attribute that the receiver itself has written, after all that it copied from elsewhere. */
function numberAt(bytes: Buffer, key: string, value: number): Place | undefined {
  const text = Buffer.from(key)
  const at = bytes.lastIndexOf(text) + text.length
  if (at < text.length || bytes[at] !== 0x12 || bytes[at + 2] !== 0x18) return undefined // AnyValue.int_value
  const place = { at: at + 3, size: bytes[at + 1]! - 1 }
  let found = 0
  for (let index = place.size - 1; index >= 0; index--)
    found = found * 128 + (bytes[place.at + index]! & 0x7f)
  return found === value && sizeOf(value) === place.size ? place : undefined
}

function sizeOf(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5
}

function fits({ size }: Place, value: number): boolean {
  return sizeOf(value) === size
}

function writeNumber(bytes: Buffer, { at, size }: Place, value: number): void {
  let rest = value
  for (let index = 0; index < size; index++) {
    bytes[at + index] = (rest & 0x7f) | (index < size - 1 ? 0x80 : 0)
    rest = Math.floor(rest / 128)
  }
}

/** As `bytesOfHex(hexOf(…))`: high byte first. */
function writeWords(bytes: Buffer, at: number, words: readonly number[]): void {
  for (let index = 0; index < words.length; index++) bytes.writeInt32BE(words[index]!, at + 4 * index)
}
