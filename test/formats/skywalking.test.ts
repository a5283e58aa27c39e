import fc from 'fast-check'
import t from 'tap'
import { spanIdsOf, traceIdOf } from '../../formats/skywalking/ids.ts'
import { SegmentObject } from '../../formats/skywalking/schema.ts'
import {
  decodeSegment,
  readSegment,
  refTypes,
  type Segment,
  spanLayers,
  spanTypes,
} from '../../formats/skywalking/segment.ts'
import { segmentToOtlp } from '../../formats/skywalking/to-otlp.ts'
import { peerAttributes } from '../../formats/skywalking/peer.ts'

t.test('a UUID is its own trace id, any other id is hashed, and none is zero', t => {
  t.equal(traceIdOf('de5980b8fce34a37aab9b4ac3af7eedd'), 'de5980b8fce34a37aab9b4ac3af7eedd')
  t.equal(traceIdOf('de5980b8-fce3-4a37-aab9-b4ac3af7eedd'), 'de5980b8fce34a37aab9b4ac3af7eedd')
  for (const id of ['69498981748909088254532449806842367552', 'de59', '0'.repeat(32), '1.2.3']) {
    t.match(traceIdOf(id), /^(?!0{32})[0-9a-f]{32}$/)
  }
  t.end()
})

t.test('segments that one thread opens within a millisecond keep their span ids apart', t => {
  const seen = new Set<string>()
  const segments = 50
  for (let n = 0; n < segments; n++) {
    const ids = spanIdsOf(`68653b8c182695fa68653b8c182695fa.117.1681897202214661${2 + 2 * n}`)
    for (let span = 0; span < 10; span++) seen.add(ids(span))
  }
  t.equal(seen.size, segments * 10)
  t.end()
})

const name = fc.string({ maxLength: 12 })
const pair = fc.record({ key: name, value: name })
const ms = fc.integer({ min: 0, max: 2 ** 43 })
const ref = fc.record({
  refType: fc.constantFrom(0, 1),
  traceId: fc.constantFrom('trace-1', 'trace-2'),
  parentTraceSegmentId: name,
  parentSpanId: fc.nat(300),
  parentService: name,
  parentServiceInstance: name,
  parentEndpoint: name,
  networkAddressUsedAtPeer: name,
})
const span = fc.record({
  spanId: fc.nat(300),
  parentSpanId: fc.integer({ min: -1, max: 300 }),
  startTime: ms,
  endTime: ms,
  refs: fc.array(ref, { maxLength: 3 }),
  operationName: name,
  peer: fc.oneof(name, fc.constant('10.0.0.1:80')),
  spanType: fc.nat(2),
  spanLayer: fc.nat(6),
  componentId: fc.nat(10_000),
  isError: fc.boolean(),
  tags: fc.array(pair, { maxLength: 5 }),
  logs: fc.array(fc.record({ time: ms, data: fc.array(pair, { maxLength: 4 }) }), { maxLength: 3 }),
  skipAnalysis: fc.boolean(),
})
const segment: fc.Arbitrary<Segment> = fc.record({
  traceId: fc.constantFrom('trace-1', 'de5980b8fce34a37aab9b4ac3af7eedd'),
  traceSegmentId: fc.string({ minLength: 1 }),
  service: name,
  serviceInstance: name,
  isSizeLimited: fc.boolean(),
  spans: fc.uniqueArray(span, { selector: each => each.spanId, maxLength: 4 }),
})

t.test('protobuf and every form of JSON are read alike', t => {
  fc.assert(
    fc.property(segment, value => {
      const bytes = SegmentObject.encode(SegmentObject.fromObject(value)).finish()
      const decoded = decodeSegment(bytes)
      t.same(decoded, value)
      const named = {
        ...value,
        spans: value.spans.map(each => ({
          ...each,
          startTime: String(each.startTime),
          spanType: spanTypes[each.spanType],
          spanLayer: spanLayers[each.spanLayer],
          peer: each.peer === '' ? null : each.peer,
          refs: each.refs.map(one => ({ ...one, refType: refTypes[one.refType] })),
          unknown: { deep: [1] },
        })),
      }
      t.same(readSegment(JSON.parse(JSON.stringify(named))), value)
    }),
    { numRuns: 100 },
  )
  t.end()
})

t.test('nothing of a segment is lost on the way to OTLP', t => {
  fc.assert(
    fc.property(segment, value => {
      const { resource, spans } = segmentToOtlp(value)
      t.equal(resource.text('service.name'), value.service)
      t.equal(resource.text('service.instance.id'), value.serviceInstance)
      t.equal(spans.length, value.spans.length)
      t.equal(new Set(spans.map(each => each.spanId)).size, spans.length)
      for (const [at, native] of value.spans.entries()) {
        const otlp = spans[at]!
        t.equal(otlp.name, native.operationName)
        t.equal(otlp.text('sw8.trace_id'), value.traceId)
        t.equal(otlp.text('sw8.segment_id'), value.traceSegmentId)
        t.equal(otlp.number('sw8.span_id'), native.spanId)
        t.equal(otlp.number('sw8.parent_span_id'), native.parentSpanId)
        t.equal(otlp.number('sw8.component_id'), native.componentId)
        t.equal(otlp.text('sw8.span_layer'), spanLayers[native.spanLayer])
        t.equal(otlp.text('sw8.peer'), native.peer)
        t.equal(otlp.startTimeUnixNano, BigInt(native.startTime) * 1_000_000n)
        for (const { key, value: text } of native.tags) {
          const kept = otlp.attribute(key)
          t.ok(Array.isArray(kept) ? kept.includes(text) : kept === text, `tag ${key}`)
        }
        t.equal(otlp.events.length, native.logs.length)
        for (const [index, log] of native.logs.entries()) {
          for (const { key, value: text } of log.data) {
            const kept = otlp.events[index]?.attributes?.[key]
            t.ok(Array.isArray(kept) ? kept.includes(text) : kept === text, `log data ${key}`)
          }
        }
        const links = otlp.links.map(({ attributes }) => attributes?.['sw8.parent_segment_id']).sort()
        t.strictSame(links, native.refs.map(each => each.parentTraceSegmentId).sort())
      }
    }),
    { numRuns: 200 },
  )
  t.end()
})

t.test(
  'the parent is in the own segment, else the first reference of the same trace, else there is none',
  t => {
    const base = { ...fc.sample(span, { seed: 1, numRuns: 1 })[0]!, spanId: 0, parentSpanId: -1, refs: [] }
    const reference = (traceId: string, parentTraceSegmentId: string) => ({
      ...fc.sample(ref, { seed: 1, numRuns: 1 })[0]!,
      traceId,
      parentTraceSegmentId,
      parentSpanId: 3,
    })
    const parentOf = (refs: Segment['spans'][number]['refs']) =>
      segmentToOtlp({
        traceId: 't',
        traceSegmentId: 's',
        service: '',
        serviceInstance: '',
        isSizeLimited: false,
        spans: [{ ...base, refs }],
      }).spans[0]?.parentSpanId
    t.equal(parentOf([]), '')
    t.equal(parentOf([reference('other', 'a'), reference('t', 'b')]), spanIdsOf('b')(3))
    t.equal(parentOf([reference('other', 'a')]), '')
    t.end()
  },
)

t.test('broken segments are refused with what is wrong', t => {
  t.throws(() => decodeSegment(new Uint8Array([10, 200])))
  t.throws(() => readSegment([]), /must be an object/)
  t.throws(() => readSegment({ traceId: 'a' }), /needs traceId and traceSegmentId/)
  t.throws(() => readSegment({ traceId: 'a', traceSegmentId: 'b', spans: 1 }), /list/)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        decodeSegment(bytes)
      } catch (error) {
        t.ok(error instanceof Error)
      }
    }),
  )
  t.end()
})

t.test('a peer is read as an address and a port', t => {
  const of = (peer: string, spanType: number) =>
    Object.fromEntries(peerAttributes({ ...fc.sample(span, { seed: 1, numRuns: 1 })[0]!, peer, spanType }))
  t.strictSame(of('mysql:3306', 1), { 'server.address': 'mysql', 'server.port': 3306 })
  t.strictSame(of('127.0.0.1:4000', 0), { 'network.peer.address': '127.0.0.1', 'network.peer.port': 4000 })
  t.strictSame(of('blue/localhost:-1', 1), { 'server.address': 'localhost' })
  t.strictSame(of('[::1]:80', 1), { 'server.address': '::1', 'server.port': 80 })
  t.strictSame(of('fe80::1', 1), { 'server.address': 'fe80::1' })
  t.strictSame(of('a:1,b:2', 1), { 'server.address': 'a', 'server.port': 1 })
  t.strictSame(of('', 1), {})
  t.end()
})
