import type { AttributeValue, Attributes } from './attributes.ts'
import type { Origin } from './batch.ts'
import { hexOf, isNoId } from './ids.ts'
import {
  fieldNumber,
  type SpanChange,
  type SpanEvent,
  type SpanFields,
  type SpanLink,
  type SpanStatus,
} from './span-fields.ts'
import {
  type Offsets,
  readAttributes,
  readEvent,
  readLink,
  readMessages,
  readStatus,
  scan,
} from './span-reader.ts'
import { writeChanged, writeSpan } from './span-writer.ts'
import { copyBytes, readFixed32, readFixed64, readText, readVarint, Writer } from './wire.ts'

export * from './span-fields.ts'

/**
 * A span is its OTLP bytes (opentelemetry.proto.trace.v1.Span, without tag and length) plus what has been read from them
 * so far. It never changes: `with` gives another one, which keeps the untouched bytes, in their order.
 */
export class Span {
  readonly bytes: Uint8Array
  /** The intake that brought it; what `with` makes has the same. */
  readonly origin: Origin | undefined
  private fields: Offsets | undefined
  private traceIdText: string | undefined
  private spanIdText: string | undefined
  private parentText: string | undefined
  private attributeMap: Attributes | undefined

  /** `bytes` must have passed the check of intake (formats/otlp) or come from `create` and `with`. */
  constructor(bytes: Uint8Array, origin?: Origin) {
    this.bytes = bytes
    this.origin = origin
  }

  /** Writes a new span. */
  static create(fields: SpanFields, origin?: Origin): Span {
    scratch.reset()
    writeSpan(scratch, fields)
    return new Span(scratch.finish(), origin)
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
    return start < 0 ? 0n : readFixed64(this.bytes, start)
  }

  /** Unix time in ns. */
  get endTimeUnixNano(): bigint {
    const { end } = this.offsets
    return end < 0 ? 0n : readFixed64(this.bytes, end)
  }

  get flags(): number {
    const { flags } = this.offsets
    return flags < 0 ? 0 : readFixed32(this.bytes, flags)
  }

  get status(): SpanStatus {
    return readStatus(this.bytes)
  }

  /** By key; where a key stands twice the first one counts. Read once, at the first use. */
  get attributes(): Attributes {
    return (this.attributeMap ??= readAttributes(this.bytes, fieldNumber.attributes))
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
    return readMessages(this.bytes, fieldNumber.links, readLink)
  }

  get events(): SpanEvent[] {
    return readMessages(this.bytes, fieldNumber.events, readEvent)
  }

  /** A span with other values for what is named; all other bytes stay as they are, unknown fields too. */
  with(change: SpanChange): Span {
    scratch.reset()
    writeChanged(scratch, this.bytes, change)
    return new Span(scratch.finish(), this.origin)
  }

  /** The same span with bytes of its own, for those who hold it longer than the request it came in. */
  detached(): Span {
    if (this.bytes.byteLength === this.bytes.buffer.byteLength) return this
    return new Span(copyBytes(this.bytes), this.origin)
  }

  private get offsets(): Offsets {
    return (this.fields ??= scan(this.bytes))
  }

  private hexAt(at: number, size: number): string {
    return at < 0 ? '' : hexOf(this.bytes, at, at + size)
  }

  private textAt(at: number): string {
    if (at < 0) return ''
    const cursor = { bytes: this.bytes, at, end: this.bytes.length }
    const length = readVarint(cursor)
    return readText(this.bytes, cursor.at, cursor.at + length)
  }
}

function withoutZero(id: string): string {
  return isNoId(id) ? '' : id
}

// Reused by every create and with: encoding is synchronous, so one is enough.
const scratch = new Writer(4096)
