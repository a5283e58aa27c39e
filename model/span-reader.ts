import { nested, readObject, readString } from './attributes.ts'
import { hexOf } from './ids.ts'
import { fieldNumber, type SpanEvent, type SpanLink, type SpanStatus } from './span-fields.ts'
import {
  type Cursor,
  readFixed64,
  readVarint,
  skipValue,
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireVarint,
} from './wire.ts'

/** Where the value of each field lies (text: at its length); -1 where it is absent or empty. `kind` is the value. */
export interface Offsets {
  traceId: number
  spanId: number
  parentSpanId: number
  traceState: number
  name: number
  kind: number
  start: number
  end: number
  flags: number
}

/** `from` to `to` is a Span message. Offsets count from the begin of `bytes`. */
export function scan(bytes: Uint8Array, from: number, to: number): Offsets {
  const offsets: Offsets = {
    traceId: -1,
    spanId: -1,
    parentSpanId: -1,
    traceState: -1,
    name: -1,
    kind: 0,
    start: -1,
    end: -1,
    flags: -1,
  }
  const cursor: Cursor = { bytes, at: from, end: to }
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    switch (tag) {
      case (fieldNumber.traceId << 3) | wireBytes:
        offsets.traceId = idAt(cursor, 16)
        break
      case (fieldNumber.spanId << 3) | wireBytes:
        offsets.spanId = idAt(cursor, 8)
        break
      case (fieldNumber.parentSpanId << 3) | wireBytes:
        offsets.parentSpanId = idAt(cursor, 8)
        break
      case (fieldNumber.traceState << 3) | wireBytes:
        offsets.traceState = cursor.at
        skipValue(cursor, wireBytes)
        break
      case (fieldNumber.name << 3) | wireBytes:
        offsets.name = cursor.at
        skipValue(cursor, wireBytes)
        break
      case (fieldNumber.kind << 3) | wireVarint:
        offsets.kind = readVarint(cursor)
        break
      case (fieldNumber.start << 3) | wireFixed64:
        offsets.start = cursor.at
        cursor.at += 8
        break
      case (fieldNumber.end << 3) | wireFixed64:
        offsets.end = cursor.at
        cursor.at += 8
        break
      case (fieldNumber.flags << 3) | wireFixed32:
        offsets.flags = cursor.at
        cursor.at += 4
        break
      default:
        skipValue(cursor, tag & 7)
    }
  }
  return offsets
}

/** Where an id's bytes begin; -1 where it is empty. The check of intake lets no other length through. */
function idAt(cursor: Cursor, size: number): number {
  const length = readVarint(cursor)
  const at = cursor.at
  cursor.at += length
  return length === size ? at : -1
}

export function readStatus(span: Cursor): SpanStatus {
  let code = 0
  let message = ''
  readMessages(span, fieldNumber.status, cursor => {
    while (cursor.at < cursor.end) {
      const tag = readVarint(cursor)
      if (tag === ((2 << 3) | wireBytes)) message = readString(cursor)
      else if (tag === ((3 << 3) | wireVarint)) code = readVarint(cursor)
      else skipValue(cursor, tag & 7)
    }
  })
  return { code, message }
}

export function readMessages<T>(span: Cursor, field: number, read: (cursor: Cursor) => T): T[] {
  const found: T[] = []
  const wanted = field * 8 + wireBytes
  while (span.at < span.end) {
    const tag = readVarint(span)
    if (tag === wanted) found.push(read(nested(span)))
    else skipValue(span, tag & 7)
  }
  return found
}

export function readLink(cursor: Cursor): SpanLink {
  const attributes = readObject({ ...cursor }, 4)
  let traceId = ''
  let spanId = ''
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === ((1 << 3) | wireBytes)) traceId = hexRange(nested(cursor))
    else if (tag === ((2 << 3) | wireBytes)) spanId = hexRange(nested(cursor))
    else skipValue(cursor, tag & 7)
  }
  return { traceId, spanId, attributes }
}

export function readEvent(cursor: Cursor): SpanEvent {
  const attributes = readObject({ ...cursor }, 3)
  let timeUnixNano = 0n
  let name = ''
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === ((1 << 3) | wireFixed64)) {
      timeUnixNano = readFixed64(cursor.bytes, cursor.at)
      cursor.at += 8
    } else if (tag === ((2 << 3) | wireBytes)) name = readString(cursor)
    else skipValue(cursor, tag & 7)
  }
  return { timeUnixNano, name, attributes }
}

function hexRange(cursor: Cursor): string {
  return hexOf(cursor.bytes, cursor.at, cursor.end)
}
