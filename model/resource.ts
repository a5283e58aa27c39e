import { type AttributeValue, type Attributes, readAttributes, writeKeyValue } from './attributes.ts'
import { copyWithoutKeys } from './span-writer.ts'
import { copyBytes, equalBytes, hashBytes, noBytes, Writer } from './wire.ts'

/**
 * A Resource or an InstrumentationScope with the envelope it came in (ResourceSpans, ScopeSpans): the message's bytes, and
 * all other fields of the envelope but the repeated one, `schema_url` and unknown ones too, which go with every piece that the
 * envelope is split into. Immutable.
 */
export class Envelope {
  /** The Resource or InstrumentationScope message; undefined where the envelope has none. */
  readonly bytes: Uint8Array | undefined
  /** Other fields of the envelope as they were, with their tags. */
  readonly rest: Uint8Array
  private readonly attributesField: number
  private attributeMap: Attributes | undefined
  private hashOfBytes: number | undefined

  constructor(bytes: Uint8Array | undefined, rest: Uint8Array, attributesField: number) {
    this.bytes = bytes
    this.rest = rest
    this.attributesField = attributesField
  }

  /** By key; the first one where a key stands twice. */
  get attributes(): Attributes {
    return (this.attributeMap ??= this.bytes
      ? readAttributes({ bytes: this.bytes, at: 0, end: this.bytes.length }, this.attributesField)
      : none)
  }

  attribute(key: string): AttributeValue | undefined {
    return this.attributes.get(key)
  }

  /** An attribute that is a string, else ''. */
  text(key: string): string {
    const value = this.attributes.get(key)
    return typeof value === 'string' ? value : ''
  }

  /** With attributes set: those of the same key are replaced, new ones come last. */
  with(attributes: Readonly<Record<string, AttributeValue>>): Envelope {
    const writer = new Writer(256)
    const field = this.attributesField
    if (this.bytes) copyWithoutKeys(writer, this.bytes, { field, keys: Object.keys(attributes) })
    for (const [key, value] of Object.entries(attributes)) writeKeyValue(writer, field, key, value)
    return new Envelope(writer.finish(), this.rest, this.attributesField)
  }

  /** Equal envelopes have equal hashes. */
  get hash(): number {
    return (this.hashOfBytes ??= this.bytes ? hashBytes(this.bytes) : 0)
  }

  equals(other: Envelope): boolean {
    if (this === other) return true
    if (!equalBytes(this.rest, other.rest)) return false
    if (!this.bytes || !other.bytes) return this.bytes === other.bytes
    return equalBytes(this.bytes, other.bytes)
  }

  /** Bytes of its own, for those who hold it longer than the request it came in. */
  detached(): Envelope {
    if (this.bytes && this.bytes.byteLength === this.bytes.buffer.byteLength) return this
    return new Envelope(this.bytes && copyBytes(this.bytes), copyBytes(this.rest), this.attributesField)
  }
}

/** opentelemetry.proto.resource.v1.Resource: attributes = 1 */
export const resourceAttributesField = 1
/** opentelemetry.proto.common.v1.InstrumentationScope: name = 1, version = 2, attributes = 3 */
export const scopeAttributesField = 3

const none: Attributes = new Map()

/** Writes a new Resource. */
export function createResource(attributes: Iterable<readonly [string, AttributeValue]>): Envelope {
  const writer = new Writer(256)
  for (const [key, value] of attributes) writeKeyValue(writer, resourceAttributesField, key, value)
  return new Envelope(writer.finish(), noBytes, resourceAttributesField)
}

/** Writes a new InstrumentationScope. */
export function createScope(name: string, version = ''): Envelope {
  const writer = new Writer(64)
  writer.stringField(1, name)
  if (version !== '') writer.stringField(2, version)
  return new Envelope(writer.finish(), noBytes, scopeAttributesField)
}
