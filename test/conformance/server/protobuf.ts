import assert from 'node:assert/strict'
import { decodeWith } from '../../helpers/otlp-oracle.ts'
import { idsOf, logs, metrics, newMarker, traces } from '../harness/messages.ts'
import {
  field,
  fixed32Field,
  fixed64Field,
  join,
  longVarint,
  tag,
  varint,
  varintField,
} from '../harness/wire.ts'
import type { Chapter, Sentence } from '../sentence.ts'
import {
  assertCode,
  assertFailure,
  assertNotDelivered,
  assertOk,
  assertSuccess,
  callGrpc,
  postProtobuf,
  type ServerWorld,
} from './world.ts'

const ids = join(
  field(1, Buffer.from(idsOf(9).traceId, 'hex')),
  field(2, Buffer.from(idsOf(9).spanId, 'hex')),
)
const keyValue = (key: string, text: string) => join(field(1, key), field(2, field(1, text)))
const requestOf = (span: Uint8Array) => field(1, field(2, field(2, span)))

/** Taken, and delivered to the byte. */
const same = (body: (marker: string) => Uint8Array) => async (world: ServerWorld) => {
  const marker = newMarker()
  const sent = body(marker)
  assertSuccess(await postProtobuf(world.main, traces, sent))
  const { body: left } = await world.sink.find(marker)
  assert.equal(left.toString('hex'), Buffer.from(sent).toString('hex'))
}

/** Taken, delivered to the byte, and to protobufjs it says this. */
const sameSpan =
  (span: (marker: string) => Uint8Array, fields: Readonly<Record<string, unknown>>) =>
  async (world: ServerWorld) => {
    const marker = newMarker()
    const sent = requestOf(span(marker))
    assertSuccess(await postProtobuf(world.main, traces, sent))
    const { body: left } = await world.sink.find(marker)
    assert.equal(left.toString('hex'), Buffer.from(sent).toString('hex'))
    const request = decodeWith('ExportTraceServiceRequest', left) as {
      resourceSpans: { scopeSpans: { spans: Record<string, unknown>[] }[] }[]
    }
    const [seen] = request.resourceSpans[0]!.scopeSpans[0]!.spans
    for (const [name, value] of Object.entries(fields)) assert.deepEqual(seen?.[name], value, name)
  }

/** 400 by HTTP, INVALID_ARGUMENT by gRPC, nothing delivered. */
const broken = (body: (good: Buffer) => Uint8Array) => async (world: ServerWorld) => {
  const marker = newMarker()
  const sent = body(requestOf(join(ids, field(5, marker))))
  assertFailure(await postProtobuf(world.main, traces, sent), 400)
  assertCode(await callGrpc(world.main, traces, sent), 3)
  await assertNotDelivered(world, marker)
}

const spanOf = (marker: string, ...more: readonly Uint8Array[]) => join(ids, field(5, marker), ...more)
const group = (number: number, ...inner: readonly Uint8Array[]) =>
  join(tag(number, 3), ...inner, tag(number, 4))
const nest = (depth: number, wrap: (inner: Uint8Array) => Uint8Array): Uint8Array => {
  let inner: Uint8Array = Buffer.alloc(0)
  for (let level = 0; level < depth; level++) inner = wrap(inner)
  return inner
}

const shapeSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'protobuf-order',
    level: 'MUST',
    says: 'Fields come in any order, and leave in it.',
    checks: {
      'a resource behind its spans': same(marker =>
        field(
          1,
          field(3, 'url'),
          field(2, field(3, 'url'), field(2, spanOf(marker)), field(1, field(1, 'scope'))),
          field(1, field(1, keyValue('a', 'b'))),
        ),
      ),
      'ids behind everything': same(marker => requestOf(join(field(5, marker), varintField(6, 3), ids))),
      'all fields of a span backwards': same(marker =>
        requestOf(
          join(
            fixed32Field(16, 0xffffffff),
            field(15, varintField(3, 2)),
            varintField(14, 1),
            fixed64Field(8, 2n),
            fixed64Field(7, 1n),
            varintField(6, 2),
            field(5, marker),
            field(2, Buffer.alloc(8, 1)),
            field(1, Buffer.alloc(16, 1)),
          ),
        ),
      ),
    },
  },
  {
    id: 'protobuf-merge',
    level: 'MUST',
    says: 'A message that comes in parts is their union; of a scalar the last one counts.',
    checks: {
      'a resource in two parts': same(marker =>
        field(
          1,
          field(1, field(1, keyValue('a', '1'))),
          field(2, field(2, spanOf(marker))),
          field(1, field(1, keyValue('b', '2'))),
        ),
      ),
      'a status in two parts': sameSpan(
        marker => spanOf(marker, field(15, varintField(3, 2)), field(15, field(2, 'no'))),
        { status: { code: 2, message: 'no' } },
      ),
      'a name twice': sameSpan(marker => join(ids, field(5, 'first'), field(5, marker)), {
        parentSpanId: undefined,
      }),
      'an id twice, the first one of another length': sameSpan(
        marker => join(field(1, 'short'), field(4, 'short'), spanOf(marker), field(4, 'eight-by')),
        {
          traceId: `hex:${idsOf(9).traceId}`,
          parentSpanId: `hex:${Buffer.from('eight-by').toString('hex')}`,
        },
      ),
      'an attribute value in two parts': sameSpan(
        marker =>
          spanOf(
            marker,
            field(
              9,
              field(1, 'k'),
              field(2, field(5, field(1, field(1, 'x')))),
              field(2, field(5, field(1, field(1, 'y')))),
            ),
          ),
        {},
      ),
    },
  },
  {
    id: 'protobuf-unknown',
    level: 'MUST',
    says: 'Unknown fields of every wire type are taken, and handed on.',
    checks: {
      'in a span': sameSpan(
        marker =>
          spanOf(
            marker,
            varintField(900, 5),
            fixed64Field(901, 6n),
            field(902, 'later'),
            fixed32Field(903, 7),
            varintField(6, 3),
          ),
        { kind: 3 },
      ),
      'in request, resource, scope and attributes': same(marker =>
        join(
          field(77, 'x'),
          field(
            1,
            field(1, varintField(99, 1), field(1, keyValue('a', 'b'), varintField(98, 2))),
            field(2, field(1, field(97, 'y')), field(2, spanOf(marker)), varintField(96, 3)),
            field(95, 'z'),
          ),
        ),
      ),
      'the largest field number': sameSpan(
        marker => spanOf(marker, varintField(536_870_911, 1), varintField(6, 4)),
        { kind: 4 },
      ),
      'the old status code of spans': sameSpan(
        marker => spanOf(marker, field(15, varintField(1, 2), varintField(3, 1))),
        {
          status: { code: 1 },
        },
      ),
      'the old instrumentation library of a Collector from 2021': same(marker =>
        field(1, field(1000, field(2, 'x')), field(2, field(2, spanOf(marker)))),
      ),
    },
  },
  {
    id: 'protobuf-groups',
    level: 'MUST',
    says: 'Groups, which nobody writes any more, are skipped and handed on.',
    checks: {
      one: sameSpan(
        marker => spanOf(marker, group(800, varintField(1, 5), field(2, 'x')), varintField(6, 3)),
        { kind: 3 },
      ),
      'one in another': sameSpan(
        marker => spanOf(marker, group(800, group(801, fixed64Field(1, 1n)), fixed32Field(3, 1))),
        {},
      ),
      'an empty one': sameSpan(marker => spanOf(marker, group(15_000)), {}),
      'one that does not end is broken': async world =>
        void assertFailure(
          await postProtobuf(world.main, traces, join(requestOf(spanOf('x')), tag(800, 3))),
          400,
        ),
      'one that ends as another is broken': broken(good => join(good, tag(800, 3), tag(801, 4))),
      'an end without a start is broken': broken(good => join(good, tag(800, 4))),
    },
  },
  {
    id: 'protobuf-enums-open',
    level: 'MUST',
    says: 'Values of enums that are not known yet are kept.',
    checks: {
      'kind 77': sameSpan(marker => spanOf(marker, varintField(6, 77)), { kind: 77 }),
      'a negative one, in ten bytes': sameSpan(marker => spanOf(marker, varintField(6, -1n)), { kind: -1 }),
    },
  },
  {
    id: 'protobuf-varints',
    level: 'MUST',
    says: 'Varints may be longer than they need to be.',
    checks: {
      'a value': sameSpan(marker => spanOf(marker, tag(6, 0), longVarint(3, 10)), { kind: 3 }),
      'a length': same(marker => {
        const span = spanOf(marker)
        return field(1, field(2, tag(2, 2), longVarint(span.length, 5), span))
      }),
      'a length in ten bytes': same(marker => {
        const span = spanOf(marker)
        return field(1, field(2, tag(2, 2), longVarint(span.length, 10), span))
      }),
      'a tag': same(marker =>
        field(1, field(2, longVarint(18, 4), varint(spanOf(marker).length), spanOf(marker))),
      ),
      'a tag inside a span': sameSpan(marker => spanOf(marker, longVarint(6 * 8, 3), varint(3)), { kind: 3 }),
      'eleven bytes are broken': broken(good =>
        join(good, tag(99, 0), Buffer.alloc(10, 0x80), Uint8Array.of(0)),
      ),
    },
  },
  {
    id: 'protobuf-empty',
    level: 'MUST',
    says: 'Values of no length are values.',
    checks: {
      'strings, messages and lists': sameSpan(
        marker => spanOf(marker, field(3), field(4), field(9), field(11), field(13), field(15)),
        { attributes: [{}], events: [{}], links: [{}], status: {} },
      ),
      'attribute values': sameSpan(
        marker =>
          spanOf(
            marker,
            field(9, field(1, 'k'), field(2)),
            field(9, field(2, field(1))),
            field(9, field(2, field(5))),
          ),
        {
          attributes: [
            { key: 'k', value: {} },
            { value: { stringValue: '' } },
            { value: { arrayValue: {} } },
          ],
        },
      ),
      'defaults that are written out': sameSpan(
        marker =>
          spanOf(marker, varintField(6, 0), fixed64Field(7, 0n), fixed32Field(16, 0), varintField(10, 0)),
        { parentSpanId: undefined },
      ),
    },
  },
]

const point = (...fields: readonly Uint8Array[]) => join(...fields)
const histogram = (marker: string, data: Uint8Array) =>
  field(1, field(2, field(2, field(1, marker), field(9, field(1, data)))))
const packed64 = (...values: readonly bigint[]) =>
  join(...values.map(value => fixed64Field(1, value).subarray(1)))
const exponential = (marker: string, buckets: Uint8Array) =>
  field(1, field(2, field(2, field(1, marker), field(10, field(1, field(8, buckets))))))

/** A metric is taken, leaves to the byte, and its counts are these. */
const counts =
  (body: (marker: string) => Uint8Array, expected: readonly string[]) => async (world: ServerWorld) => {
    const marker = newMarker()
    const sent = body(marker)
    const reply = await postProtobuf(world.main, metrics, sent)
    assertSuccess(reply)
    const { body: left } = await world.sink.find(marker)
    assert.equal(left.toString('hex'), Buffer.from(sent).toString('hex'))
    const text = JSON.stringify(decodeWith('ExportMetricsServiceRequest', left))
    assert.ok(text.includes(`"bucketCounts":${JSON.stringify(expected)}`), text)
  }

const listSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'protobuf-packed',
    level: 'MUST',
    says: 'Lists of numbers are packed, not packed, or both.',
    checks: {
      'fixed64 packed': counts(marker => histogram(marker, field(6, packed64(1n, 2n, 3n))), ['1', '2', '3']),
      'fixed64 not packed': counts(
        marker => histogram(marker, point(fixed64Field(6, 1n), fixed64Field(6, 2n))),
        ['1', '2'],
      ),
      'fixed64 packed twice': counts(
        marker =>
          histogram(marker, point(field(6, packed64(1n, 2n)), fixed64Field(4, 9n), field(6, packed64(3n)))),
        ['1', '2', '3'],
      ),
      'fixed64 packed and not packed': counts(
        marker =>
          histogram(marker, point(fixed64Field(6, 1n), field(6, packed64(2n, 3n)), fixed64Field(6, 4n))),
        ['1', '2', '3', '4'],
      ),
      'uint64 packed': counts(marker => exponential(marker, field(2, varint(1), varint(300))), ['1', '300']),
      'uint64 not packed': counts(
        marker => exponential(marker, join(varintField(2, 1), varintField(2, 300))),
        ['1', '300'],
      ),
      'uint64 packed twice': counts(
        marker => exponential(marker, join(field(2, varint(1)), varintField(1, 4), field(2, varint(2)))),
        ['1', '2'],
      ),
      'the largest uint64': counts(
        marker => exponential(marker, field(2, varint(18_446_744_073_709_551_615n))),
        ['18446744073709551615'],
      ),
      'a packed list with half a number is broken': async world => {
        const sent = histogram('half', field(6, packed64(1n), Buffer.alloc(3)))
        assertFailure(await postProtobuf(world.main, metrics, sent), 400)
      },
    },
  },
]

const faultSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'protobuf-broken-400',
    level: 'MUST',
    says: 'What is no protobuf, or ends before it should, is refused whole, by HTTP and by gRPC.',
    checks: {
      'a byte is missing': broken(good => good.subarray(0, -1)),
      'half is missing': broken(good => good.subarray(0, good.length >> 1)),
      'a byte too many': broken(good => join(good, Uint8Array.of(0x0a))),
      'a length beyond the end': broken(good => join(good, field(1, 'x').subarray(0, 1), varint(1000))),
      'a length of 2^63': broken(good => join(good, tag(1, 2), varint(2n ** 63n))),
      'a length of 2^64 - 1': broken(good => join(good, tag(1, 2), varint(2n ** 64n - 1n))),
      'field number 0': broken(good => join(good, Uint8Array.of(0x00, 0x01))),
      'wire type 6': broken(good => join(good, Uint8Array.of(0x0e, 0x01))),
      'wire type 7': broken(good => join(good, Uint8Array.of(0x0f, 0x01))),
      'a tag without end': broken(good => join(good, Buffer.alloc(20, 0xff))),
      'a varint without end': broken(good => join(good, tag(99, 0), Buffer.alloc(3, 0xff))),
      'a fixed64 of seven bytes': broken(good => join(good, tag(99, 1), Buffer.alloc(7))),
      'a fixed32 of three bytes': broken(good => join(good, tag(99, 5), Buffer.alloc(3))),
      text: broken(() => Buffer.from('this is not a protobuf message')),
      zeros: broken(() => Buffer.alloc(100)),
      'a scope longer than its resource': broken(good => {
        const copy = Buffer.from(good)
        copy[3] = copy[3]! + 20
        return copy
      }),
    },
  },
  {
    id: 'protobuf-wire-types',
    level: 'SHOULD',
    says: 'A known field of another wire type does no harm: its span is refused, or the field ignored.',
    checks: {
      'a name as a varint': async ({ main }) => {
        const reply = await postProtobuf(main, traces, requestOf(join(ids, varintField(5, 1))))
        assert.ok([200, 400].includes(reply.status))
      },
      'resource_spans as a fixed64': async ({ main }) => {
        const reply = await postProtobuf(main, traces, fixed64Field(1, 5n))
        assert.ok([200, 400].includes(reply.status))
      },
    },
  },
  {
    id: 'protobuf-nesting',
    level: 'MUST',
    says: 'Nesting without end is refused, and harms nobody; what people write is taken.',
    checks: {
      'three thousand values': async ({ main }) => {
        const value = nest(3000, inner => field(5, field(1, inner)))
        assertFailure(await postProtobuf(main, traces, requestOf(join(ids, field(9, field(2, value))))), 400)
      },
      'a million groups': broken(good => join(good, Buffer.alloc(1_000_000, tag(100, 3).subarray(0, 2)))),
      'thirty values': sameSpan(marker => {
        const value = nest(30, inner => field(5, field(1, inner)))
        return spanOf(marker, field(9, field(1, 'deep'), field(2, value)))
      }, {}),
    },
  },
  {
    id: 'protobuf-utf8',
    level: 'SHOULD',
    says: 'Text that is not UTF-8 does not cost its neighbours.',
    checks: {
      'a value of one attribute': same(marker =>
        requestOf(spanOf(marker, field(9, field(1, 'k'), field(2, field(1, Uint8Array.of(0xff, 0xfe)))))),
      ),
    },
  },
]

const dataSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'proto-flags-kept',
    level: 'MUST',
    says: 'Bits of flags that have no meaning yet are not assumed to be zero.',
    checks: {
      'all bits of a span and of a link': sameSpan(
        marker => spanOf(marker, fixed32Field(16, 0xffffffff), field(13, ids, fixed32Field(6, 0xfffffeff))),
        { flags: 0xffffffff },
      ),
    },
  },
  {
    id: 'proto-log-ids',
    level: 'SHOULD',
    says: 'A log record with an id that is no id belongs to no trace, and is taken.',
    checks: Object.fromEntries(
      (
        [
          ['a trace id of five bytes', field(9, 'short')],
          ['a trace id of zeros', field(9, Buffer.alloc(16))],
          ['a span id of nine bytes', field(10, Buffer.alloc(9, 1))],
        ] as const
      ).map(([name, bytes]) => [
        name,
        async (world: ServerWorld) => {
          const marker = newMarker()
          const reply = await postProtobuf(
            world.main,
            logs,
            requestOf(join(field(5, field(1, marker)), bytes)),
          )
          assertSuccess(reply)
          await world.sink.find(marker)
        },
      ]),
    ),
  },
  {
    id: 'proto-strindex',
    level: 'SHOULD',
    says: 'Indices into the string table of profiles are no fault in other signals, and are warned of.',
    checks: {
      'in a key and in a value': async world => {
        const marker = newMarker()
        const attributes = join(
          field(9, varintField(3, 5), field(2, varintField(8, 6))),
          field(9, keyValue('a', 'b')),
        )
        assertOk(await callGrpc(world.main, traces, requestOf(spanOf(marker, attributes))))
        await world.sink.find(marker)
        await world.fullspan.logged(({ level, msg }) => level === 'warn' && msg.includes('string table'))
      },
    },
  },
]

export const protobufChapters: readonly Chapter<ServerWorld>[] = [
  { source: 'OTLP 1.11, "Binary Protobuf Encoding", and the encoding of proto3', sentences: shapeSentences },
  { source: 'Encoding of proto3, lists', sentences: listSentences },
  { source: 'Encoding of proto3, faults', sentences: faultSentences },
  { source: 'opentelemetry-proto 1.11, comments of the messages', sentences: dataSentences },
]
