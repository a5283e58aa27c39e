import { type AttributeValue, type Attributes, readAttributes, readString } from './attributes.ts'
import type { Origin } from './batch.ts'
import { hexOf, isNoId } from './ids.ts'
import {
  fieldNumber,
  spansField,
  type SpanChange,
  type SpanEvent,
  type SpanFields,
  type SpanLink,
  type SpanStatus,
} from './span-fields.ts'
import { type Offsets, readEvent, readLink, readMessages, readStatus, scan } from './span-reader.ts'
import { writeChanged, writeSpan } from './span-writer.ts'
import { copyBytes, type Cursor, readFixed32, readFixed64, Writer } from './wire.ts'

export * from './span-fields.ts'

/**
 * A span is its OTLP bytes (opentelemetry.proto.trace.v1.Span, without tag and length) plus what has been read from them
 * so far. It never changes: `with` gives another one, which keeps the untouched bytes, in their order.
 */
export class Span {
  /** The buffer in which its bytes lie, `from` to `to`, with others: those of its request, or what else was written at that time. */
  readonly source: Uint8Array
  readonly from: number
  readonly to: number
  /** The intake that brought it; what `with` makes has the same. */
  readonly origin: Origin | undefined
  private view: Uint8Array | undefined
  private fields: Offsets | undefined
  private traceIdText: string | undefined
  private spanIdText: string | undefined
  private parentText: string | undefined
  private attributeMap: Attributes | undefined

  /** The bytes must have passed the check of intake (formats/otlp) or come from `create` and `with`. They must not change. */
  constructor(source: Uint8Array, origin?: Origin, from = 0, to = source.length) {
    this.source = source
    this.origin = origin
    this.from = from
    this.to = to
  }

  /** Writes a new span. */
  static create(fields: SpanFields, origin?: Origin): Span {
    return written(writer => writeSpan(writer, fields), origin)
  }

  get bytes(): Uint8Array {
    const { source, from, to } = this
    return (this.view ??= to - from === source.length ? source : source.subarray(from, to))
  }

  get sizeBytes(): number {
    return this.to - this.from
  }

  /** 32 lower-case hex digits, or '' where there is none. */
  get traceId(): string {
    return (this.traceIdText ??= this.hexAt(this.offsets.traceId, 16))
  }

  /** 16 lower-case hex digits, or ''. */
  get spanId(): string {
    return (this.spanIdText ??= this.hexAt(this.offsets.spanId, 8))
  }

  /** 16 lower-case hex digits, or '' for a root (for which some senders write eight zero bytes). */
  get parentSpanId(): string {
    return (this.parentText ??= withoutZero(this.hexAt(this.offsets.parentSpanId, 8)))
  }

  get name(): string {
    return this.textAt(this.offsets.name)
  }

  get traceState(): string {
    return this.textAt(this.offsets.traceState)
  }

  /** A number that this version may not know (protobuf enums are open). */
  get kind(): number {
    return this.offsets.kind
  }

  /** Unix time in ns. */
  get startTimeUnixNano(): bigint {
    const { start } = this.offsets
    return start < 0 ? 0n : readFixed64(this.source, start)
  }

  /** Unix time in ns. */
  get endTimeUnixNano(): bigint {
    const { end } = this.offsets
    return end < 0 ? 0n : readFixed64(this.source, end)
  }

  get flags(): number {
    const { flags } = this.offsets
    return flags < 0 ? 0 : readFixed32(this.source, flags)
  }

  get status(): SpanStatus {
    return readStatus(this.cursor())
  }

  /** By key; where a key stands twice the first one counts. Read once, at the first use. */
  get attributes(): Attributes {
    return (this.attributeMap ??= readAttributes(this.cursor(), fieldNumber.attributes))
  }

  attribute(key: string): AttributeValue | undefined {
    return this.attributes.get(key)
  }

  /** An attribute that is a string, else ''. */
  text(key: string): string {
    const value = this.attributes.get(key)
    return typeof value === 'string' ? value : ''
  }

  /** An attribute that is a number, else undefined. */
  number(key: string): number | undefined {
    const value = this.attributes.get(key)
    return typeof value === 'number' ? value : undefined
  }

  get links(): SpanLink[] {
    return readMessages(this.cursor(), fieldNumber.links, readLink)
  }

  get events(): SpanEvent[] {
    return readMessages(this.cursor(), fieldNumber.events, readEvent)
  }

  /** A span with other values for what is named; all other bytes stay as they are, unknown fields too. */
  with(change: SpanChange): Span {
    const range = { bytes: this.source, from: this.from, to: this.to }
    return written(writer => writeChanged(writer, range, change), this.origin)
  }

  /** The same span with bytes of its own, for those who hold it longer than the request it came in. */
  detached(): Span {
    const { source, from, to, origin } = this
    if (to - from === source.buffer.byteLength) return this
    return new Span(copyBytes(source, from, to), origin)
  }

  private get offsets(): Offsets {
    return (this.fields ??= scan(this.source, this.from, this.to))
  }

  private cursor(): Cursor {
    return { bytes: this.source, at: this.from, end: this.to }
  }

  private hexAt(at: number, size: number): string {
    return at < 0 ? '' : hexOf(this.source, at, at + size)
  }

  private textAt(at: number): string {
    return at < 0 ? '' : readString({ bytes: this.source, at, end: this.to })
  }
}

function withoutZero(id: string): string {
  return isNoId(id) ? '' : id
}

/** A span that `write` writes, in a chunk with those written before and after it, each framed as a ScopeSpans frames it. */
function written(write: (writer: Writer) => void, origin: Origin | undefined): Span {
  chunk.reset()
  const size = chunk.message(spansField, () => write(chunk))
  const { bytes, to } = chunk.keep()
  return new Span(bytes, origin, to - size, to)
}

// An ArrayBuffer of its own would cost a span more than to write it. A chunk lives as long as one of its spans.
const chunk = new Writer(16 * 1024)
