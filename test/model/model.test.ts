import fc from 'fast-check'
import protobuf from 'protobufjs'
import t from 'tap'
import type { AttributeValue } from '../../model/attributes.ts'
import { Batch, groupSpans, type SpanGroup } from '../../model/batch.ts'
import { bytesOfHex, hexOf } from '../../model/ids.ts'
import { createResource, createScope, type Envelope } from '../../model/resource.ts'
import { Span, type SpanChange, spanKind } from '../../model/span.ts'
import { isText, readText } from '../../model/text.ts'
import { Writer } from '../../model/wire.ts'
import { checkRequest } from '../../formats/otlp/check.ts'
import { messages } from '../helpers/otlp-arbitrary.ts'
import { oracle } from '../helpers/otlp-oracle.ts'

/** Without shrinking: a message is drawn step by step, and smaller draws are other messages. */
const runs = { numRuns: Number(process.env['FULLSPAN_TEST_RUNS'] ?? 300), endOnFailure: true }

const requestName = 'ExportTraceServiceRequest'

/** What protobufjs decodes, longs as bigint, with its unknown fields. */
interface Decoded {
  readonly [key: string]: unknown
}

function decode(name: string, bytes: Uint8Array): Decoded {
  const reader = protobuf.Reader.create(bytes)
  ;(reader as { discardUnknown?: boolean }).discardUnknown = false
  return oracle(name).decode(reader)
}

/** As plain data that `t.same` compares: bytes as hex, longs as bigint, unknown fields under their own key. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `hex:${hexOf(value)}`
  if (isLong(value)) return BigInt(value.toString())
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const unknowns = (value as { $unknowns?: Uint8Array[] }).$unknowns
  const isMessage = value.constructor !== Object // a message of protobufjs has its lists even where they are empty
  const fields = Object.entries(value)
    .filter(([, inner]) => !isMessage || !Array.isArray(inner) || inner.length > 0)
    .map(([key, inner]) => [key, plain(inner)] as const)
  return { ...Object.fromEntries(fields), ...(unknowns && { unknowns: unknowns.map(plain) }) }
}

function isLong(value: unknown): value is { unsigned: boolean; toString(): string } {
  return typeof value === 'object' && value !== null && 'unsigned' in value && 'low' in value
}

const list = (value: unknown): readonly Decoded[] => (Array.isArray(value) ? (value as Decoded[]) : [])

/** An AnyValue of protobufjs as our reader gives it. */
function attributeOf(value: Decoded | undefined): AttributeValue {
  if (!value) return null
  const has = (key: string) => Object.hasOwn(value, key)
  if (has('stringValue')) return value['stringValue'] as string
  if (has('boolValue')) return value['boolValue'] as boolean
  if (has('intValue')) {
    const wide = BigInt(String(value['intValue']))
    return Number.isSafeInteger(Number(wide)) ? Number(wide) : wide
  }
  if (has('doubleValue')) return value['doubleValue'] as number
  if (has('bytesValue')) return value['bytesValue'] as Uint8Array
  if (has('arrayValue')) return list((value['arrayValue'] as Decoded)['values']).map(attributeOf)
  if (!has('kvlistValue')) return null
  const pairs = list((value['kvlistValue'] as Decoded)['values'])
  return Object.fromEntries(pairs.map(pair => [keyOf(pair), attributeOf(pair['value'] as Decoded)]))
}

const keyOf = (pair: Decoded) => (Object.hasOwn(pair, 'key') ? (pair['key'] as string) : '')

function attributesOf(pairs: unknown): [string, unknown][] {
  const map = new Map<string, unknown>()
  for (const pair of list(pairs)) {
    const key = keyOf(pair)
    if (!map.has(key)) map.set(key, plain(attributeOf(pair['value'] as Decoded | undefined)))
  }
  return [...map]
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')
const hex = (value: unknown) => (value instanceof Uint8Array ? hexOf(value) : '')
const big = (value: unknown) => (isLong(value) ? BigInt(value.toString()) : 0n)
const own = (message: Decoded, key: string) => (Object.hasOwn(message, key) ? message[key] : undefined)

t.test('a span says what protobufjs reads in its bytes', t => {
  fc.assert(
    fc.property(messages('Span'), bytes => {
      const span = new Span(bytes)
      const wanted = decode('Span', bytes)
      t.equal(span.traceId, hex(own(wanted, 'traceId')))
      t.equal(span.spanId, hex(own(wanted, 'spanId')))
      t.equal(span.parentSpanId, hex(own(wanted, 'parentSpanId')))
      t.equal(span.name, text(own(wanted, 'name')))
      t.equal(span.traceState, text(own(wanted, 'traceState')))
      t.equal(span.kind, own(wanted, 'kind') ?? 0)
      t.equal(span.startTimeUnixNano, big(own(wanted, 'startTimeUnixNano')))
      t.equal(span.endTimeUnixNano, big(own(wanted, 'endTimeUnixNano')))
      t.equal(span.flags, own(wanted, 'flags') ?? 0)
      const status = (own(wanted, 'status') ?? {}) as Decoded
      t.same(span.status, { code: own(status, 'code') ?? 0, message: text(own(status, 'message')) })
      t.strictSame(
        [...span.attributes].map(([key, value]) => [key, plain(value)]),
        attributesOf(own(wanted, 'attributes')),
      )
      t.strictSame(
        span.links.map(link => [link.traceId, link.spanId, plain(link.attributes)]),
        list(own(wanted, 'links')).map(link => [
          hex(own(link, 'traceId')),
          hex(own(link, 'spanId')),
          lastWins(own(link, 'attributes')),
        ]),
      )
      t.strictSame(
        span.events.map(event => [event.timeUnixNano, event.name, plain(event.attributes)]),
        list(own(wanted, 'events')).map(event => [
          big(own(event, 'timeUnixNano')),
          text(own(event, 'name')),
          lastWins(own(event, 'attributes')),
        ]),
      )
    }),
    runs,
  )
  t.end()
})

function lastWins(pairs: unknown): unknown {
  return Object.fromEntries(
    list(pairs).map(pair => [keyOf(pair), plain(attributeOf(pair['value'] as Decoded))]),
  )
}

const id = (size: number) =>
  fc.uint8Array({ minLength: size, maxLength: size }).map(bytes => hexOf(bytes.map(byte => byte | 1)))
const values: fc.Arbitrary<AttributeValue> = fc.letrec<{ value: AttributeValue }>(tie => ({
  value: fc.oneof(
    { maxDepth: 2 },
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.double({ noDefaultInfinity: false }),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(null, -0, 2 ** 53, -(2 ** 53), Number.MIN_SAFE_INTEGER, ''),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.string({ maxLength: 5 }), tie('value'), { maxKeys: 3 }),
  ),
})).value
const keys = fc.oneof(fc.constantFrom('a', 'service.name', ''), fc.string({ maxLength: 6 }))
const changes: fc.Arbitrary<SpanChange> = fc
  .record(
    {
      traceId: id(16),
      spanId: id(8),
      parentSpanId: fc.oneof(fc.constant(''), id(8)),
      name: fc.string({ unit: 'binary' }),
      kind: fc.constantFrom(...Object.values(spanKind)),
      attributes: fc.dictionary(keys, fc.oneof(fc.constant(undefined), values), { maxKeys: 3 }),
      addLinks: fc.array(fc.record({ traceId: id(16), spanId: id(8) }), { maxLength: 2 }),
    },
    { requiredKeys: [] },
  )
  .map(change => change)

/** An attribute value as it reads back: bigint only where it must be, -0 as a double. */
function normal(value: AttributeValue | undefined): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(inner => normal(inner as AttributeValue))
  if (value instanceof Uint8Array) return plain(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]))
}

t.test('with changes what it names and nothing else', t => {
  fc.assert(
    fc.property(messages('Span'), changes, (bytes, change) => {
      const before = plain(decode('Span', bytes)) as Record<string, unknown>
      const span = new Span(bytes).with(change)
      const after = plain(decode('Span', span.bytes)) as Record<string, unknown>
      const { attributes, addLinks, ...fields } = change
      for (const [key, value] of Object.entries(fields)) {
        t.equal(span[key as keyof typeof fields], value, key)
        Reflect.deleteProperty(before, key)
        Reflect.deleteProperty(after, key)
      }
      const set = Object.entries(attributes ?? {}).filter(([, value]) => value !== undefined)
      for (const [key, value] of set) t.strictSame(plain(span.attribute(key)), normal(value), key)
      const kept = list(before['attributes']).filter(pair => !Object.hasOwn(attributes ?? {}, keyOf(pair)))
      const [left, added] = splitAt(list(after['attributes']), kept.length)
      t.strictSame(left, kept, 'other attributes, in their order')
      t.same(added.map(keyOf).toSorted(), set.map(([key]) => key).toSorted())
      const links = list(before['links'])
      const [oldLinks, newLinks] = splitAt(list(after['links']), links.length)
      t.strictSame(oldLinks, links)
      t.same(
        newLinks,
        (addLinks ?? []).map(link => ({ traceId: `hex:${link.traceId}`, spanId: `hex:${link.spanId}` })),
      )
      for (const key of ['attributes', 'links']) {
        Reflect.deleteProperty(before, key)
        Reflect.deleteProperty(after, key)
      }
      t.strictSame(after, before, 'all other fields, unknown ones too')
    }),
    runs,
  )
  t.end()
})

function splitAt<T>(all: readonly T[], place: number): [T[], T[]] {
  return [all.slice(0, place), all.slice(place)]
}

/** Every span with its resource and scope and their other fields, as text, sorted. */
function inventory(request: Uint8Array): string[] {
  const all: string[] = []
  for (const { scopeSpans, ...resource } of list(
    own(plain(decode(requestName, request)) as Decoded, 'resourceSpans'),
  )) {
    for (const { spans, ...scope } of list(scopeSpans)) {
      for (const span of list(spans)) all.push(json([resource, scope, span]))
    }
  }
  return all.toSorted()
}

/** Text that is equal where the values are, whatever the order of their keys. */
function json(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(json).join()}]`
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${json(inner)}`)
    return `{${pairs.toSorted().join()}}`
  }
  if (typeof value === 'bigint') return `${value}n`
  return Object.is(value, -0) ? '-0' : typeof value === 'number' ? String(value) : JSON.stringify(value)
}

function batchOf(bytes: Uint8Array, originId = 1): Batch {
  const checked = checkRequest('traces', bytes)
  if (!checked.isUsable) throw new Error(checked.message)
  return Batch.ofRequest('traces', bytes, checked.items, { id: originId, peer: undefined })
}

t.test('groups and their encoding lose no span and no field of an envelope', t => {
  fc.assert(
    fc.property(messages(requestName), bytes => {
      const batch = batchOf(bytes)
      t.equal(batch.encode(), bytes, 'untouched, the same bytes')
      const rebuilt = Batch.ofGroups(batch.groups)
      t.equal(rebuilt.items, batch.items)
      t.strictSame(inventory(rebuilt.encode()), inventory(bytes))
      const spans = batch.groups.flatMap(({ resource, scope, spans }) =>
        spans.map(span => ({ resource, scope, span: span.with({ name: span.name }) })),
      )
      t.equal(Batch.ofGroups(groupSpans(spans)).items, batch.items)
      t.strictSame(inventory(Batch.ofGroups(groupSpans(spans)).encode()).length, batch.items)
    }),
    runs,
  )
  t.end()
})

t.test('split pieces are small enough, and together what was split', t => {
  fc.assert(
    fc.property(messages(requestName), fc.integer({ min: 1, max: 4 }), (bytes, maximum) => {
      const batch = batchOf(bytes)
      const pieces = batch.split(maximum)
      if (batch.items > 0) t.ok(pieces.every(({ items }) => items <= maximum && items > 0))
      t.strictSame(pieces.flatMap(piece => inventory(piece.encode())).toSorted(), inventory(bytes))
      t.same(pieces.flatMap(spanIds), spanIds(batch), 'in order')
    }),
    runs,
  )
  t.end()
})

function spanIds(batch: Batch): string[] {
  return batch.groups.flatMap(({ spans }) => spans.map(({ spanId }) => spanId))
}

t.test('merging keeps every span and the intake it came from', t => {
  fc.assert(
    fc.property(
      fc.array(messages(requestName), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (requests, asGroups) => {
        const batches = requests.map((bytes, index) => {
          const batch = batchOf(bytes, index)
          return asGroups && index % 2 === 0 ? Batch.ofGroups(batch.groups) : batch
        })
        const merged = Batch.merge(batches)
        t.equal(
          merged.items,
          batches.reduce((sum, { items }) => sum + items, 0),
        )
        t.strictSame(inventory(merged.encode()), requests.flatMap(inventory).toSorted())
        const shares = new Map([...merged.shares].map(([origin, items]) => [origin?.id, items]))
        for (const [index, { items }] of batches.entries()) t.equal(shares.get(index) ?? 0, items)
      },
    ),
    runs,
  )
  t.end()
})

t.test('a span written from fields reads back the same', t => {
  const fields = fc.record({
    traceId: id(16),
    spanId: id(8),
    parentSpanId: fc.oneof(fc.constant(''), id(8)),
    name: fc.string({ unit: 'binary' }),
    kind: fc.constantFrom(...Object.values(spanKind)),
    startTimeUnixNano: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    endTimeUnixNano: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    attributes: fc.uniqueArray(fc.tuple(keys, values), { maxLength: 4, selector: ([key]) => key }),
    flags: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    traceState: fc.string(),
    status: fc.record({ code: fc.integer({ min: 0, max: 2 }), message: fc.string() }),
  })
  fc.assert(
    fc.property(fields, wanted => {
      const span = Span.create(wanted)
      decode('Span', span.bytes)
      const { attributes, status, ...simple } = wanted
      for (const [key, value] of Object.entries(simple)) t.equal(span[key as keyof typeof simple], value, key)
      t.same(span.status, status)
      t.strictSame(
        [...span.attributes].map(([key, value]) => [key, plain(value)]),
        attributes.map(([key, value]) => [key, normal(value)]),
      )
    }),
    runs,
  )
  t.end()
})

t.test('resources and scopes change like spans, and split envelopes merge', t => {
  fc.assert(
    fc.property(messages(requestName), keys, values, (bytes, key, value) => {
      for (const { resource, scope } of batchOf(bytes).groups) {
        for (const [envelope, name] of [
          [resource, 'Resource'],
          [scope, 'InstrumentationScope'],
        ] as const) {
          const wanted = envelope.bytes ? decode(name, envelope.bytes) : {}
          t.strictSame(readAll(envelope), attributesOf(own(wanted, 'attributes')))
          const changed = envelope.with({ [key]: value })
          t.strictSame(plain(changed.attribute(key)), normal(value))
          t.ok(changed.rest === envelope.rest)
          const others = ([other]: [string, unknown]) => other !== key
          t.strictSame(readAll(changed).filter(others), readAll(envelope).filter(others))
        }
      }
    }),
    runs,
  )
  t.end()
})

function readAll(envelope: Envelope): [string, unknown][] {
  return [...envelope.attributes].map(([key, value]) => [key, plain(value)])
}

t.test('equal resources become one when encoded, different ones stay apart', t => {
  const span = (name: string) =>
    Span.create({
      traceId: '1'.repeat(32),
      spanId: '2'.repeat(16),
      parentSpanId: '',
      name,
      kind: 1,
      startTimeUnixNano: 1n,
      endTimeUnixNano: 2n,
    })
  const group = (service: string, scope: string, name: string): SpanGroup => ({
    resource: createResource([['service.name', service]]),
    scope: createScope(scope),
    spans: [span(name)],
  })
  const batch = Batch.ofGroups([
    group('a', 'x', '1'),
    group('b', 'x', '2'),
    group('a', 'x', '3'),
    group('a', 'y', '4'),
  ])
  const decoded = plain(decode(requestName, batch.encode())) as Decoded
  const shape = list(decoded['resourceSpans']).map(({ scopeSpans }) =>
    list(scopeSpans).map(({ spans }) => list(spans).map(({ name }) => name)),
  )
  t.same(shape, [[['1', '3'], ['4']], [['2']]])
  t.end()
})

t.test('a parent of eight zero bytes is no parent', t => {
  const type = oracle('Span')
  const bytes = type.encode(type.fromObject({ parentSpanId: new Uint8Array(8), name: 'root' })).finish()
  t.equal(new Span(bytes).parentSpanId, '')
  t.end()
})

t.test('hex ids survive both ways', t => {
  fc.assert(
    fc.property(fc.uint8Array(), bytes => {
      const back = bytesOfHex(hexOf(bytes))
      return (
        Buffer.compare(back, bytes) === 0 &&
        Buffer.compare(bytesOfHex(hexOf(bytes).toUpperCase()), bytes) === 0
      )
    }),
  )
  t.pass()
  t.end()
})

t.test('what is left of a request is encoded as it would be span by span', t => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 12 }), fc.nat(200), (kept, nameLength) => {
      const spans = kept.map((_, index) =>
        Span.create({
          traceId: '1'.repeat(32),
          spanId: (index + 1).toString(16).padStart(16, '0'),
          parentSpanId: '',
          name: 'n'.repeat(nameLength * (index % 3)),
          kind: 1,
          startTimeUnixNano: 1n,
          endTimeUnixNano: 2n,
        }),
      )
      const whole = Batch.ofGroups([{ resource: createResource([]), scope: createScope('s'), spans }])
      const request = Batch.ofRequest('traces', whole.encode(), spans.length)
      const isKept = (_: Span, index: number) => kept[index]!
      const left = request.groups.map(group => ({ ...group, spans: group.spans.filter(isKept) }))
      // Bytes of their own have no neighbours to be copied with.
      const alone = left.map(group => ({ ...group, spans: group.spans.map(span => span.detached()) }))
      t.same(Batch.ofGroups(left).encode(), Batch.ofGroups(alone).encode())
    }),
  )
  t.end()
})

t.test('pieces are the encoded batch; a large untouched request is not copied', t => {
  const request = (size: number) => {
    const bytes = new Uint8Array(size).fill(size % 251)
    return Batch.ofRequest('traces', bytes, 1)
  }
  const sizes = [10, 20, 100_000, 30, 50_000, 50_000, 40, 70_000]
  const batch = Batch.merge(sizes.map(request))
  const pieces = batch.encodePieces()
  t.same(
    pieces.map(({ length }) => length),
    [30, 100_000, 100_030, 40, 70_000],
  )
  t.same(Buffer.concat(pieces), Buffer.from(batch.encode()))
  const large = request(100_000)
  t.equal(large.encodePieces()[0], large.encode())
  t.end()
})

t.test('a text is read the same at first and again, UTF-8 or not', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.string({ unit: 'grapheme' }), (bytes, string) => {
      for (const source of [bytes, Buffer.from(string)]) {
        const wanted = Buffer.from(source).toString()
        t.equal(readText(source, 0, source.length), wanted)
        t.equal(readText(source, 0, source.length), wanted)
        t.ok(isText(source, 0, source.length, wanted))
        t.notOk(isText(source, 0, source.length, `${wanted}x`))
      }
    }),
  )
  t.end()
})

t.test('a short message at the very end of the buffer keeps its bytes', t => {
  for (let before = 0; before < 40; before++) {
    const writer = new Writer(32)
    writer.raw(new Uint8Array(before))
    writer.message(1, () => writer.raw(Uint8Array.of(1, 2, 3)))
    t.same([...writer.finish().subarray(before)], [10, 3, 1, 2, 3])
  }
  t.end()
})
