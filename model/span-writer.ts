import { writeKeyValue } from './attributes.ts'
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
  if (hex === '') return
  writer.tag(field, wireBytes)
  writer.varint(hex.length >> 1)
  writer.hex(hex)
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
  const { attributes } = change
  const keys = attributes ? Object.keys(attributes) : none
  copyExcept(writer, span, { replaced: replacedFields(change), field: fieldNumber.attributes, keys })
  if (change.traceId !== undefined) writeId(writer, fieldNumber.traceId, change.traceId)
  if (change.spanId !== undefined) writeId(writer, fieldNumber.spanId, change.spanId)
  if (change.parentSpanId !== undefined) writeId(writer, fieldNumber.parentSpanId, change.parentSpanId)
  if (change.name !== undefined) writer.stringField(fieldNumber.name, change.name)
  if (change.kind !== undefined) writeKind(writer, change.kind)
  for (const key of keys) {
    const value = attributes![key]
    if (value !== undefined) writeKeyValue(writer, fieldNumber.attributes, key, value)
  }
  if (change.addLinks) for (const link of change.addLinks) writeLink(writer, link)
}

const none: readonly string[] = []

/** The numbers of the fields that are written anew, as bits. */
function replacedFields({ traceId, spanId, parentSpanId, name, kind }: SpanChange): number {
  return (
    bitIf(traceId, fieldNumber.traceId) |
    bitIf(spanId, fieldNumber.spanId) |
    bitIf(parentSpanId, fieldNumber.parentSpanId) |
    bitIf(name, fieldNumber.name) |
    bitIf(kind, fieldNumber.kind)
  )
}

function bitIf(value: unknown, field: number): number {
  return value === undefined ? 0 : 1 << field
}

/** Copies a message without the KeyValue fields of that number whose key is in `keys`. */
export function copyWithoutKeys(
  writer: Writer,
  bytes: Uint8Array,
  { field, keys }: { field: number; keys: readonly string[] },
): void {
  copyExcept(writer, { bytes, from: 0, to: bytes.length }, { replaced: 0, field, keys })
}

/** Copies a message in runs as long as can be, without the fields in `replaced` and KeyValues (of number `field`) of these keys. */
function copyExcept(
  writer: Writer,
  { bytes, from, to }: Range,
  { replaced, field, keys }: { replaced: number; field: number; keys: readonly string[] },
): void {
  const cursor: Cursor = { bytes, at: from, end: to }
  const wanted = field * 8 + wireBytes
  const lengths = lengthsOf(keys)
  let runStart = from
  while (cursor.at < to) {
    const fieldStart = cursor.at
    const tag = readVarint(cursor)
    const valueStart = cursor.at
    skipValue(cursor, tag & 7)
    if (tag === wanted && keys.length > 0) {
      if (!mayBeIn(lengths, bytes, valueStart) || !isKeyIn(keys, bytes, valueStart)) continue
    } else if (tag >= 256 || ((replaced >>> (tag >>> 3)) & 1) === 0) continue
    writer.range(bytes, runStart, fieldStart)
    runStart = cursor.at
  }
  writer.range(bytes, runStart, to)
}

/** false where the KeyValue is short, written as usual, and its key has a length that no wanted one has: most are left at that. */
function mayBeIn(lengths: number, bytes: Uint8Array, at: number): boolean {
  const length = bytes[at]!
  const keyLength = bytes[at + 2]!
  const valueAt = at + 3 + keyLength
  const isUsual =
    length < 128 &&
    bytes[at + 1] === keyTag &&
    keyLength < length - 3 &&
    bytes[valueAt] === valueTag &&
    bytes[valueAt + 1] === length - keyLength - 4
  return !isUsual || ((lengths >>> (keyLength & 31)) & 1) === 1
}

/** As bits, modulo 32; all where a key is no ASCII, since then its bytes are more. */
function lengthsOf(keys: readonly string[]): number {
  let lengths = 0
  for (const key of keys) {
    if (!isAscii(key)) return -1
    lengths |= 1 << (key.length & 31)
  }
  return lengths
}

function isAscii(key: string): boolean {
  for (let index = 0; index < key.length; index++) if (key.charCodeAt(index) >= 128) return false
  return true
}

const keyTag = (1 << 3) | wireBytes
const valueTag = (2 << 3) | wireBytes

/** Whether the KeyValue whose length stands at `at` has one of these keys; the last one counts, should it have several. */
function isKeyIn(keys: readonly string[], bytes: Uint8Array, at: number): boolean {
  const cursor: Cursor = { bytes, at, end: bytes.length }
  enter(cursor)
  let from = 0
  let to = 0
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === keyTag) {
      const length = readVarint(cursor)
      from = cursor.at
      to = from + length
      cursor.at = to
    } else skipValue(cursor, tag & 7)
  }
  for (const key of keys) if (isText(bytes, from, to, key)) return true
  return false
}
