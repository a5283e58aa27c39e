import { nested } from './attributes.ts'
import type { Origin, SpanGroup } from './batch.ts'
import { Envelope, resourceAttributesField, scopeAttributesField } from './resource.ts'
import { Span, spansField } from './span.ts'
import { type Cursor, noBytes, readVarint, skipValue, varintSize, Writer, wireBytes } from './wire.ts'

/** ExportTraceServiceRequest.resource_spans, ResourceSpans.resource and ScopeSpans.scope */
const firstTag = (1 << 3) | wireBytes
/** ResourceSpans.scope_spans and ScopeSpans.spans */
const secondTag = (spansField << 3) | wireBytes

/** The spans of an ExportTraceServiceRequest, by resource and scope. Notes where they lie and reads nothing else. */
export function readGroups(bytes: Uint8Array, origin: Origin | undefined): SpanGroup[] {
  const groups: SpanGroup[] = []
  const cursor: Cursor = { bytes, at: 0, end: bytes.length }
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag === firstTag) readResourceSpans(nested(cursor), origin, groups)
    else skipValue(cursor, tag & 7)
  }
  return groups
}

function readResourceSpans(cursor: Cursor, origin: Origin | undefined, groups: SpanGroup[]): void {
  const { bytes } = cursor
  const scopes: { readonly scope: Envelope; readonly spans: Span[] }[] = []
  const { head, rest } = readEnvelope(cursor, (at, end) => {
    const spans: Span[] = []
    const inner = readEnvelope({ bytes, at, end }, (from, to) =>
      spans.push(new Span(bytes, origin, from, to)),
    )
    scopes.push({ scope: new Envelope(inner.head, inner.rest, scopeAttributesField), spans })
  })
  const resource = new Envelope(head, rest, resourceAttributesField)
  for (const { scope, spans } of scopes) groups.push({ resource, scope, spans })
}

/**
 * ResourceSpans and ScopeSpans alike: field 1 is the head (several of them merge, which for protobuf messages is
 * concatenation), field 2 repeats and is given to `visit`, the others are kept as they are. Fields may come in any order.
 */
function readEnvelope(
  cursor: Cursor,
  visit: (from: number, to: number) => void,
): { head: Uint8Array | undefined; rest: Uint8Array } {
  const { bytes } = cursor
  let head: Uint8Array | undefined
  let heads: Writer | undefined
  let rest: Writer | undefined
  while (cursor.at < cursor.end) {
    const start = cursor.at
    const tag = readVarint(cursor)
    if (tag === firstTag || tag === secondTag) {
      const length = readVarint(cursor)
      const from = cursor.at
      const to = from + length
      cursor.at = to
      if (tag === secondTag) visit(from, to)
      else if (!head) head = bytes.subarray(from, to)
      else {
        if (!heads) {
          heads = new Writer()
          heads.raw(head)
        }
        heads.range(bytes, from, to)
      }
    } else {
      skipValue(cursor, tag & 7)
      rest ??= new Writer()
      rest.range(bytes, start, cursor.at)
    }
  }
  return { head: heads ? heads.finish() : head, rest: rest ? rest.finish() : noBytes }
}

interface ResourceBucket {
  readonly resource: Envelope
  readonly scopes: ScopeBucket[]
}

interface ScopeBucket {
  readonly scope: Envelope
  readonly lists: (readonly Span[])[]
}

/** An ExportTraceServiceRequest. Groups by equal bytes, so that what was one ResourceSpans becomes one again. */
export function encodeGroups(groups: readonly SpanGroup[]): Uint8Array {
  const resources = groupByEnvelope(groups)
  let size = 0
  for (const each of resources) size += framedSize(resourceSpansSize(each))
  const writer = new Writer(size + slackBytes)
  for (const { resource, scopes } of resources) {
    writer.tag(1, wireBytes)
    writer.varint(resourceSpansSize({ resource, scopes }))
    if (resource.bytes) writer.bytesField(1, resource.bytes)
    for (const each of scopes) {
      writer.tag(2, wireBytes)
      writer.varint(scopeSpansSize(each))
      if (each.scope.bytes) writer.bytesField(1, each.scope.bytes)
      for (const spans of each.lists) writeSpans(writer, spans)
      writer.raw(each.scope.rest)
    }
    writer.raw(resource.rest)
  }
  const { bytes, from, to } = writer.keep()
  return bytes.subarray(from, to)
}

/** What a Writer wants to be free behind the last thing that it writes. */
const slackBytes = 16

/** In the order in which they came. */
function groupByEnvelope(groups: readonly SpanGroup[]): ResourceBucket[] {
  const buckets: ResourceBucket[] = []
  const byHash = new Map<number, ResourceBucket[]>()
  for (const { resource, scope, spans } of groups) {
    const known = byHash.get(resource.hash)
    let bucket = known?.find(each => each.resource.equals(resource))
    if (!bucket) {
      bucket = { resource, scopes: [] }
      buckets.push(bucket)
      if (known) known.push(bucket)
      else byHash.set(resource.hash, [bucket])
    }
    const same = bucket.scopes.find(each => each.scope.equals(scope))
    if (same) same.lists.push(spans)
    else bucket.scopes.push({ scope, lists: [spans] })
  }
  return buckets
}

function resourceSpansSize({ resource, scopes }: ResourceBucket): number {
  let size = envelopeSize(resource)
  for (const scope of scopes) size += framedSize(scopeSpansSize(scope))
  return size
}

function scopeSpansSize({ scope, lists }: ScopeBucket): number {
  let size = envelopeSize(scope)
  for (const spans of lists) for (const span of spans) size += framedSize(span.sizeBytes)
  return size
}

function envelopeSize({ bytes, rest }: Envelope): number {
  return (bytes ? framedSize(bytes.length) : 0) + rest.length
}

/** With tag and length in front; the fields here have tags of one byte. */
function framedSize(size: number): number {
  return 1 + varintSize(size) + size
}

/** Spans that lie one behind another as they are to be written, in a request or as `with` wrote them, are copied at once. */
function writeSpans(writer: Writer, spans: readonly Span[]): void {
  let source = noBytes
  let runStart = 0
  let runEnd = 0
  for (const span of spans) {
    if (span.source !== source || !isFrame(source, runEnd, span)) {
      writer.range(source, runStart, runEnd)
      source = span.source
      runStart = span.from
      writer.tag(spansField, wireBytes)
      writer.varint(span.sizeBytes)
    }
    runEnd = span.to
  }
  writer.range(source, runStart, runEnd)
}

/** Whether what stands at `at` is just tag and length of the span. */
function isFrame(source: Uint8Array, at: number, { from, sizeBytes }: Span): boolean {
  if (from <= at || source[at++] !== secondTag) return false
  let rest = sizeBytes
  for (; rest >= 128; rest = Math.floor(rest / 128)) if (source[at++] !== ((rest & 0x7f) | 0x80)) return false
  return source[at++] === rest && at === from
}
