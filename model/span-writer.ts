import { writeKeyValue } from './attributes.ts'
import { bytesOfHex } from './ids.ts'
import {
  fieldNumber,
  type SpanChange,
  type SpanEvent,
  type SpanFields,
  type SpanLink,
  type SpanStatus,
} from './span-fields.ts'
import { isText } from './text.ts'
import {
  type Cursor,
  enter,
  type Range,
  readVarint,
  skipValue,
  type Writer,
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireVarint,
} from './wire.ts'

export function writeSpan(writer: Writer, span: SpanFields): void {
  writeId(writer, fieldNumber.traceId, span.traceId)
  writeId(writer, fieldNumber.spanId, span.spanId)
  if (span.traceState) writer.stringField(fieldNumber.traceState, span.traceState)
  writeId(writer, fieldNumber.parentSpanId, span.parentSpanId)
  if (span.name !== '') writer.stringField(fieldNumber.name, span.name)
  writeKind(writer, span.kind)
  writer.tag(fieldNumber.start, wireFixed64)
  writer.fixed64(span.startTimeUnixNano)
  writer.tag(fieldNumber.end, wireFixed64)
  writer.fixed64(span.endTimeUnixNano)
  for (const [key, value] of span.attributes ?? []) writeKeyValue(writer, fieldNumber.attributes, key, value)
  for (const event of span.events ?? []) writeEvent(writer, event)
  for (const link of span.links ?? []) writeLink(writer, link)
  if (span.status) writeStatus(writer, span.status)
  if (span.flags) {
    writer.tag(fieldNumber.flags, wireFixed32)
    writer.fixed32(span.flags)
  }
}

function writeId(writer: Writer, field: number, hex: string): void {
  if (hex !== '') writer.bytesField(field, bytesOfHex(hex))
}

function writeKind(writer: Writer, kind: number): void {
  if (kind === 0) return
  writer.tag(fieldNumber.kind, wireVarint)
  writer.varint(kind)
}

function writeEvent(writer: Writer, event: SpanEvent): void {
  writer.message(fieldNumber.events, () => {
    writer.tag(1, wireFixed64)
    writer.fixed64(event.timeUnixNano)
    writer.stringField(2, event.name)
    for (const [key, value] of Object.entries(event.attributes ?? {})) writeKeyValue(writer, 3, key, value)
  })
}

function writeLink(writer: Writer, link: SpanLink): void {
  writer.message(fieldNumber.links, () => {
    writeId(writer, 1, link.traceId)
    writeId(writer, 2, link.spanId)
    for (const [key, value] of Object.entries(link.attributes ?? {})) writeKeyValue(writer, 4, key, value)
  })
}

function writeStatus(writer: Writer, status: SpanStatus): void {
  writer.message(fieldNumber.status, () => {
    if (status.message !== '') writer.stringField(2, status.message)
    if (status.code !== 0) {
      writer.tag(3, wireVarint)
      writer.varint(status.code)
    }
  })
}

/** Copies every field of the span that the change does not name, in runs, then writes the changed ones. */
export function writeChanged(writer: Writer, span: Range, change: SpanChange): void {
  const { bytes } = span
  const keys = change.attributes ? Object.keys(change.attributes) : []
  copyExcept(writer, span, (tag, valueAt) => isReplaced(tag, bytes, valueAt, change, keys))
  if (change.traceId !== undefined) writeId(writer, fieldNumber.traceId, change.traceId)
  if (change.spanId !== undefined) writeId(writer, fieldNumber.spanId, change.spanId)
  if (change.parentSpanId !== undefined) writeId(writer, fieldNumber.parentSpanId, change.parentSpanId)
  if (change.name !== undefined) writer.stringField(fieldNumber.name, change.name)
  if (change.kind !== undefined) writeKind(writer, change.kind)
  for (const key of keys) {
    const value = change.attributes![key]
    if (value !== undefined) writeKeyValue(writer, fieldNumber.attributes, key, value)
  }
  for (const link of change.addLinks ?? []) writeLink(writer, link)
}

function isReplaced(
  tag: number,
  bytes: Uint8Array,
  valueAt: number,
  change: SpanChange,
  keys: readonly string[],
): boolean {
  switch (tag >>> 3) {
    case fieldNumber.traceId:
      return change.traceId !== undefined
    case fieldNumber.spanId:
      return change.spanId !== undefined
    case fieldNumber.parentSpanId:
      return change.parentSpanId !== undefined
    case fieldNumber.name:
      return change.name !== undefined
    case fieldNumber.kind:
      return change.kind !== undefined
    case fieldNumber.attributes:
      return keys.length > 0 && isKeyIn(keys, bytes, valueAt)
    default:
      return false
  }
}

/** Copies a message without the KeyValue fields of that number whose key is in `keys`. */
export function copyWithoutKeys(
  writer: Writer,
  bytes: Uint8Array,
  { field, keys }: { field: number; keys: readonly string[] },
): void {
  const wanted = field * 8 + wireBytes
  const message = { bytes, from: 0, to: bytes.length }
  copyExcept(writer, message, (tag, valueAt) => tag === wanted && isKeyIn(keys, bytes, valueAt))
}

/** Copies the fields of a message that are not left out, in runs as long as can be. */
function copyExcept(
  writer: Writer,
  { bytes, from, to }: Range,
  isLeftOut: (tag: number, valueAt: number) => boolean,
): void {
  const cursor: Cursor = { bytes, at: from, end: to }
  let runStart = from
  while (cursor.at < cursor.end) {
    const fieldStart = cursor.at
    const tag = readVarint(cursor)
    const valueStart = cursor.at
    skipValue(cursor, tag & 7)
    if (!isLeftOut(tag, valueStart)) continue
    writer.range(bytes, runStart, fieldStart)
    runStart = cursor.at
  }
  writer.range(bytes, runStart, to)
}

/** Whether the KeyValue whose length stands at `at` has one of these keys; the last one counts, should it have several. */
function isKeyIn(keys: readonly string[], bytes: Uint8Array, at: number): boolean {
  const cursor: Cursor = { bytes, at, end: bytes.length }
  enter(cursor)
  let from = 0
  let to = 0
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === ((1 << 3) | wireBytes)) {
      const length = readVarint(cursor)
      from = cursor.at
      to = from + length
      cursor.at = to
    } else skipValue(cursor, tag & 7)
  }
  for (const key of keys) if (isText(bytes, from, to, key)) return true
  return false
}
