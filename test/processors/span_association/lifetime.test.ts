import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import { Batch } from '../../../model/batch.ts'
import { Span } from '../../../model/span.ts'
import { recordingMeter } from '../../helpers/recording-meter.ts'
import { appSpan, at, batchOf, exchange, type Piece, sight, treeOf } from '../../helpers/stack.ts'
import { associate, startAssociation } from '../../helpers/association.ts'

const trace = 'c'.repeat(32)

t.test('a span that comes twice is kept once, and counted', async t => {
  const { meter, value } = recordingMeter()
  const pieces = [
    ...exchange({ seq: 1, from: 0, to: 100, client: { pid: 1 }, server: { pid: 2 } }),
    appSpan({ service: 'a', trace, id: '1'.repeat(16), side: 'server', from: 0, to: 100 }),
  ]
  const run = await startAssociation({}, { meter })
  run.input$.next(batchOf(pieces))
  run.input$.next(batchOf(pieces))
  run.clock.advance(30_000)
  t.equal(run.spans().length, pieces.length)
  t.equal(run.merged(), pieces.length, 'the ledger says merged')
  t.equal(value('fullspan.association.duplicates'), pieces.length)

  run.input$.next(batchOf(pieces))
  run.clock.advance(30_000)
  t.equal(run.spans().length, pieces.length, 'also when it has left')
  t.equal(run.merged(), 2 * pieces.length)
})

t.test('settings that contradict each other are told at the start', async t => {
  const warnings: string[] = []
  const silent = () => undefined
  const logger = {
    debug: silent,
    info: silent,
    error: silent,
    warn: (_: object, text: string) => void warnings.push(text),
  }
  await startAssociation({}, { logger })
  t.strictSame(warnings, [])
  await startAssociation({ idle_timeout: 3000, max_age: 1000 }, { logger })
  t.equal(warnings.length, 2)
  t.match(warnings[0], /^max_age is less than idle_timeout/)
  t.match(warnings[1], /^statistics\.decide_after is more than half of idle_timeout/)
})

t.test('a thousand sights with one key are bounded exchanges, and all of them leave', async t => {
  const pieces = Array.from({ length: 1000 }, (_, n) =>
    sight({ point: 'c', seq: 5, interface: `eth${n}`, from: n, to: n + 2000 }),
  )
  const run = await startAssociation()
  run.input$.next(batchOf(pieces))
  run.clock.advance(12_000)
  t.equal(run.spans().length, pieces.length)
  t.equal(new Set(run.spans().map(({ spanId }) => spanId)).size, pieces.length)
  t.equal(run.batches.length, 4, 'of 250 each')
})

t.test('a stream grows while it is held, and after it has left as an update with the same ids', async t => {
  const request = sight({ point: 's-p', seq: 1, from: 0, to: 90_000, pid: 7, thread: 71 })
  const stream = sight({ point: 'c-p', seq: 2, from: 1000, to: 5000, pid: 7, thread: 71 })
  const run = await startAssociation()
  run.input$.next(batchOf([request, stream]))
  run.clock.advance(3000)
  run.input$.next(batchOf([longer(stream, 9000)]))
  run.input$.next(batchOf([stream]))
  run.clock.advance(30_000)
  const [first] = run.spans().filter(({ name }) => name === stream.span.name)
  t.equal(run.spans().length, 2)
  t.equal(first?.endTimeUnixNano, at(9000))
  t.equal(first?.parentSpanId, request.span.spanId)

  run.input$.next(batchOf([longer(stream, 80_000)]))
  run.clock.advance(30_000)
  const update = run.spans().at(-1)
  t.equal(run.spans().length, 3)
  t.equal(update?.spanId, first?.spanId)
  t.equal(update?.traceId, first?.traceId)
  t.equal(update?.parentSpanId, request.span.spanId)
  t.equal(update?.text(names.linkRule), 'thread')
  t.equal(update?.endTimeUnixNano, at(80_000))
})

t.test('a stream of an hour does not blur which short requests were open', async t => {
  const hourUs = 3600e6
  const spans = await associate([
    sight({ point: 's-p', seq: 1, from: 0, to: hourUs, pid: 7, thread: 70 }),
    sight({ point: 's-p', seq: 2, from: hourUs / 2, to: hourUs / 2 + 1000, pid: 7, thread: 71 }),
    sight({ point: 'c-p', seq: 3, from: hourUs / 2 + 100, to: hourUs / 2 + 200, pid: 7, thread: 71 }),
  ])
  const call = spans.find(({ name }) => name === 'c-p 7')
  t.equal(spans.find(({ spanId }) => spanId === call?.parentSpanId)?.startTimeUnixNano, at(hourUs / 2))
})

t.test('what is in flight at the stop leaves with what is known', async t => {
  const run = await startAssociation()
  const pieces = exchange({ seq: 1, from: 0, to: 100, client: { pid: 1 }, path: ['c'] })
  run.input$.next(batchOf(pieces))
  run.input$.complete()
  t.strictSame(treeOf(run.spans()), { 'c-p 1': '', 'c if-c': 'c-p 1' })
})

t.test('a message without an answer is an exchange like others', async t => {
  const oneWay = { [names.keyResponseSeq]: false }
  const spans = await associate(
    exchange({
      seq: 1,
      from: 0,
      to: 0,
      client: { pid: 1 },
      server: { pid: 2 },
      path: ['s-nd', 's', 'c', 'c-nd'].reverse(),
      attributes: oneWay,
    }),
  )
  t.strictSame(treeOf(spans), {
    'c-p 1': '',
    'c-nd if-c-nd': 'c-p 1',
    'c if-c': 'c-nd if-c-nd',
    's if-s': 'c if-c',
    's-nd if-s-nd': 's if-s',
    's-p 2': 's-nd if-s-nd',
  })
})

t.test('a giant trace leaves in pieces, and others are not kept waiting by it', async t => {
  const { meter, value } = recordingMeter()
  const run = await startAssociation({ max_trace_spans: 100 }, { meter })
  run.input$.next(
    batchOf([appSpan({ service: 'small', trace: 'd'.repeat(32), side: 'server', from: 0, to: 1 })]),
  )
  for (let count = 0; count < 60; count++) {
    run.input$.next(batchOf(giant(count * 5, 5)))
    run.clock.advance(500)
  }
  t.equal(run.spans().filter(({ name }) => name === 'small server').length, 1, 'after its idle_timeout')
  t.ok(run.batches.every(({ items }) => items <= 100))
  t.ok(value('fullspan.association.released', { reason: 'max_trace_spans' }) >= 2)
  run.clock.advance(30_000)
  t.equal(run.spans().length, 301)
  t.equal(new Set(run.spans().map(({ traceId }) => traceId)).size, 2)
})

t.test('max_traces and max_held_bytes let the oldest go, and say so', async t => {
  const { meter, value } = recordingMeter()
  const run = await startAssociation({ max_traces: 3 }, { meter })
  for (let seq = 1; seq <= 5; seq++) {
    run.input$.next(batchOf([sight({ point: 'c-p', seq, from: seq, to: seq + 1, pid: seq })]))
  }
  t.strictSame(
    run.spans().map(({ name }) => name),
    ['c-p 1', 'c-p 2'],
  )
  t.equal(value('fullspan.association.released', { reason: 'max_traces' }), 2)
  t.equal(value('fullspan.association.held_traces'), 3)
  run.clock.advance(30_000)
  t.equal(value('fullspan.association.released', { reason: 'idle' }), 3)
  t.equal(value('fullspan.association.held_bytes'), 0)
})

t.test(
  'counts the bytes that stay in memory: copies, or whole requests as long as any of their spans is held',
  async t => {
    const { meter, value } = recordingMeter()
    const run = await startAssociation({}, { meter })
    const held = () => value('fullspan.association.held_bytes')
    const few = batchOf([sight({ point: 'c-p', seq: 1, from: 0, to: 1, pid: 1 })])
    run.input$.next(few)
    t.equal(held(), few.groups[0]?.spans[0]?.sizeBytes, 'copied out of what it came in')
    const bytes = new Uint8Array(batchOf(giant(0, 50)).encode())
    run.input$.next(Batch.ofRequest('traces', bytes, 50))
    t.equal(held() - few.groups[0]!.spans[0]!.sizeBytes, bytes.buffer.byteLength, 'held as it came')
    run.clock.advance(30_000)
    t.equal(held(), 0)
  },
)

t.test('max_age ends a trace of which spans keep coming', async t => {
  const { meter, value } = recordingMeter()
  const run = await startAssociation({ max_age: 20_000 }, { meter })
  for (let count = 0; count < 50; count++) {
    run.input$.next(batchOf(giant(count, 1)))
    run.clock.advance(500)
  }
  t.equal(value('fullspan.association.released', { reason: 'max_age' }), 1)
})

function giant(first: number, count: number): Piece[] {
  return Array.from({ length: count }, (_, index) =>
    appSpan({
      service: 'giant',
      trace,
      id: (first + index + 1).toString(16).padStart(16, '0'),
      parent: '',
      side: 'internal',
      from: first + index,
      to: first + index + 1,
    }),
  )
}

/** The same span, sent again when it has gone on. */
function longer({ resource, scope, span }: Piece, toUs: number): Piece {
  const bytes = span.bytes.slice()
  const view = new DataView(bytes.buffer)
  const old = new DataView(new ArrayBuffer(8))
  old.setBigUint64(0, span.endTimeUnixNano, true)
  const place = Buffer.from(bytes).indexOf(Buffer.from(old.buffer))
  view.setBigUint64(place, at(toUs), true)
  return { resource, scope, span: new Span(bytes) }
}
