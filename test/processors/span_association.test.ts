import { metrics } from '@opentelemetry/api'
import fc from 'fast-check'
import { Subject } from 'rxjs'
import t from 'tap'
import type { ProcessorContext } from '../../core/component.ts'
import type { Infer } from '../../core/schema.ts'
import { names } from '../../model/attribute-names.ts'
import type { Batch } from '../../model/batch.ts'
import { type Span, spanKind } from '../../model/span.ts'
import association from '../../processors/span_association/index.ts'
import { type ManualClock, manualClock } from '../../core/manual-clock.ts'
import { associationDefaults } from '../helpers/association.ts'
import { appSpan, at, batchOf, exchange, type Piece, sight, treeOf } from '../helpers/stack.ts'

type Config = Infer<typeof association.schema>

const defaults = associationDefaults

interface Run {
  readonly input$: Subject<Batch>
  readonly batches: Batch[]
  readonly dropped: string[]
  readonly clock: ManualClock
}

async function start(change: Partial<Config> = {}): Promise<Run> {
  const clock = manualClock(Number(at(0) / 1_000_000n))
  const dropped: string[] = []
  const peers = new Map<string, string>()
  const context: ProcessorContext = {
    id: 'span_association',
    pipeline: 'traces',
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    meter: metrics.getMeter('test'),
    clock,
    stopping: new AbortController().signal,
    getExtension: () => undefined,
    peers: { set: (key, value) => peers.set(key, value), get: key => peers.get(key) },
    ownPorts: [],
    packageRoot: '.',
    drop: (items, reason) => dropped.push(`${'items' in items ? items.items : items.length} ${reason}`),
    merge: ignore,
    created: ignore,
    onAdmission: ignore,
  }
  const created = await association.create({ ...defaults, ...change }, context)
  if (!('operator' in created)) throw new Error('span_association is an operator')
  const input$ = new Subject<Batch>()
  const batches: Batch[] = []
  created.operator(input$).subscribe({
    next: batch => batches.push(batch),
    error: (error: unknown) => t.fail(String(error)),
  })
  return { input$, batches, dropped, clock }
}

function ignore(): void {
  // Tests look at what comes out.
}

async function associate(pieces: readonly Piece[], change: Partial<Config> = {}): Promise<Span[]> {
  const run = await start(change)
  for (const piece of pieces) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  return run.batches.flatMap(spansOf)
}

function spansOf(batch: Batch): Span[] {
  return batch.groups.flatMap(group => group.spans)
}

const otelTrace = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
const pids = { client: 10, nginx: 20, storefront: 30, orders: 40, stock: 50, mariadb: 60 }

/**
 * client → nginx → storefront (OpenTelemetry) → orders (SkyWalking) → stock (threads, nothing instrumented) → MariaDB, and
 * orders → MariaDB by an Exit span that puts no id on the wire.
 */
function shop(base = 0, salt = 0, trace = otelTrace): Piece[] {
  const seq = (n: number) => 1000 * (salt + 1) + n
  const id = (n: number) => (salt * 16 + n).toString(16).padStart(16, '1')
  const requestId = { [names.keyRequestId]: `req-${salt}` }
  const http = {
    'network.protocol.name': 'http',
    'http.request.method': 'GET',
    'http.response.status_code': 200,
  }
  const sw = (span: number, parent: number) => ({
    'sw8.trace_id': `native-${salt}`,
    'sw8.segment_id': `segment-${salt}`,
    'sw8.span_id': span,
    'sw8.parent_span_id': parent,
  })
  const swTrace = (0xb0 + salt).toString(16).padStart(32, '0')
  return [
    ...exchange({
      seq: seq(1),
      from: base,
      to: base + 9000,
      client: { pid: pids.client },
      server: { pid: pids.nginx },
      attributes: { ...http, ...requestId },
    }),
    ...exchange({
      seq: seq(2),
      from: base + 200,
      to: base + 8800,
      client: { pid: pids.nginx },
      server: { pid: pids.storefront },
      attributes: {
        ...http,
        ...requestId,
        'network.peer.address': '10.0.0.2',
        'network.peer.port': 40000 + salt,
        'url.path': '/buy',
      },
    }),
    appSpan({
      service: 'storefront',
      trace,
      id: id(1),
      side: 'server',
      from: base,
      to: base + 9000,
      attributes: {
        'http.request.method': 'GET',
        'url.path': '/buy',
        'network.peer.address': '10.0.0.2',
        'network.peer.port': 40000 + salt,
      },
    }),
    appSpan({
      service: 'storefront',
      trace,
      id: id(2),
      parent: id(1),
      side: 'client',
      from: base + 400,
      to: base + 8000,
      attributes: { 'http.request.method': 'GET' },
    }),
    ...exchange({
      seq: seq(3),
      from: base + 500,
      to: base + 7900,
      client: { pid: pids.storefront },
      server: { pid: pids.orders },
      attributes: {
        ...http,
        [names.keyTraceparent]: `00-${trace}-${id(2)}-01`,
        'network.peer.address': '10.0.0.3',
        'network.peer.port': 50000 + salt,
      },
    }),
    appSpan({
      service: 'orders',
      trace: swTrace,
      id: id(3),
      side: 'server',
      from: base,
      to: base + 8000,
      attributes: {
        ...sw(0, -1),
        'http.method': 'GET',
        'network.peer.address': '10.0.0.3',
        'network.peer.port': 50000 + salt,
      },
    }),
    appSpan({
      service: 'orders',
      trace: swTrace,
      id: id(4),
      parent: id(3),
      side: 'client',
      from: base + 1000,
      to: base + 4000,
      attributes: { ...sw(1, 0), 'http.method': 'GET' },
    }),
    ...exchange({
      seq: seq(4),
      from: base + 1500,
      to: base + 3900,
      client: { pid: pids.orders },
      server: { pid: pids.stock, thread: 5100 + salt },
      attributes: { ...http, [names.keySw8]: `native-${salt}/segment-${salt}/1` },
    }),
    ...exchange({
      seq: seq(5),
      from: base + 2000,
      to: base + 3000,
      client: { pid: pids.stock, thread: 5100 + salt },
      server: { pid: pids.mariadb, thread: 6001 },
      attributes: {
        'network.protocol.name': 'mysql',
        'db.system.name': 'mariadb',
        'db.operation.name': 'SELECT',
        'server.port': 3306,
      },
    }),
    appSpan({
      service: 'orders',
      trace: swTrace,
      id: id(5),
      parent: id(3),
      side: 'client',
      from: base + 5000,
      to: base + 6000,
      attributes: {
        ...sw(2, 0),
        'db.type': 'Mysql',
        'db.statement': 'INSERT INTO orders VALUES (?)',
        'server.port': 3306,
      },
    }),
    ...exchange({
      seq: seq(6),
      from: base + 5100,
      to: base + 5900,
      client: { pid: pids.orders },
      server: { pid: pids.mariadb, thread: 6002 },
      attributes: {
        'network.protocol.name': 'mysql',
        'db.system.name': 'mariadb',
        'db.operation.name': 'INSERT',
        'server.port': 3306,
      },
    }),
  ]
}

t.test(
  'joins a request through gateway, two APMs, a threaded server and a database into one tree',
  async t => {
    const spans = await associate(shop())
    t.equal(spans.length, shop().length)
    t.strictSame([...new Set(spans.map(span => span.traceId))], [otelTrace], 'one trace id')
    const parentOf = (name: string, from: number) => {
      const span = spans.find(each => each.name === name && each.startTimeUnixNano === at(from))
      const parent = spans.find(each => each.spanId === span?.parentSpanId)
      return `${parent?.name ?? ''} by ${span?.text(names.linkRule) ?? ''}`
    }
    t.equal(parentOf('c-p 10', 0), ' by ', 'the client is the root')
    t.equal(parentOf('c if-c', 10), 'c-p 10 by tcp_seq')
    t.equal(parentOf('s-p 20', 50), 's if-s by tcp_seq')
    t.equal(parentOf('c-p 20', 200), 's-p 20 by request_id')
    t.equal(parentOf('storefront server', 0), 's-p 30 by same_exchange')
    t.equal(
      parentOf('storefront client', 400),
      'storefront server by ',
      'what the SDK said inside its process stays',
    )
    t.equal(parentOf('c-p 30', 500), 'storefront client by header')
    t.equal(parentOf('orders server', 0), 's-p 40 by same_exchange')
    t.equal(parentOf('c-p 40', 1500), 'orders client by header')
    t.equal(parentOf('c-p 50', 2000), 's-p 50 by thread')
    t.equal(parentOf('s-p 60', 2050), 's if-s by tcp_seq')
    t.equal(
      parentOf('c-p 40', 5100),
      'orders client by same_exchange',
      'the Exit span without an id on the wire',
    )
  },
)

t.test('keeps what senders said as attributes, and counts no exchange twice', async t => {
  const spans = await associate(shop())
  const named = (name: string) => spans.find(span => span.name === name)
  t.equal(named('storefront server')?.attribute(names.originalParentSpanId), '')
  t.equal(named('orders server')?.attribute(names.originalTraceId), 'b0'.padStart(32, '0'))
  t.equal(named('s-p 30')?.kind, spanKind.internal, 'next to an APP span')
  t.equal(named('s-p 20')?.kind, spanKind.server, 'nothing else stands for nginx')
  t.equal(named('c-p 10')?.kind, spanKind.client)
})

t.test('gives the same tree whatever the order of arrival', async t => {
  const pieces = shop()
  const parents = (spans: readonly Span[]) =>
    spans.map(span => `${span.spanId} < ${span.parentSpanId}`).sort()
  const expected = parents(await associate(pieces))
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(pieces, { minLength: pieces.length }), async shuffled => {
      t.strictSame(parents(await associate(shuffled)), expected)
    }),
    { numRuns: 30 },
  )
})

t.test('in attach mode APP spans leave as they came and sights name what they wrap', async t => {
  const pieces = shop().filter(({ span }) => !span.attributes.has('sw8.segment_id'))
  const spans = await associate(pieces, { mode: 'attach' })
  for (const { span } of pieces.filter(piece => !piece.span.attributes.has(names.layer))) {
    const left = spans.find(each => each.spanId === span.spanId)
    t.strictSame(left?.bytes, span.bytes)
  }
  const server = spans.find(span => span.name === 's-p 30')
  const client = spans.find(span => span.name === 'c-p 30')
  const app = spans.filter(span => span.name.startsWith('storefront'))
  t.equal(server?.text(names.wraps), app[0]?.spanId)
  t.equal(client?.parentSpanId, app[1]?.spanId)
  t.equal(server?.traceId, otelTrace)
})

t.test('associating what was associated changes nothing', async t => {
  const run = await start()
  for (const piece of shop()) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  const once = run.batches.flatMap(spansOf)
  const again = await start()
  for (const batch of run.batches) again.input$.next(batch)
  again.clock.advance(30_000)
  const twice = again.batches.flatMap(spansOf)
  const facts = (spans: readonly Span[]) =>
    spans
      .map(span => [
        span.spanId,
        span.traceId,
        span.parentSpanId,
        span.kind,
        Object.fromEntries(span.attributes),
      ])
      .sort()
  t.strictSame(facts(twice), facts(once))
})

t.test('requests one after another stay apart', async t => {
  const requests = [0, 1, 2].map(n => shop(n * 100_000, n, (0xa0 + n).toString(16).padStart(32, '0')))
  const run = await start()
  for (const pieces of requests) for (const piece of pieces) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  t.equal(run.batches.length, 3)
  for (const batch of run.batches) t.equal(new Set(spansOf(batch).map(span => span.traceId)).size, 1)
})

t.test('claims nothing on an event loop that served two requests at once', async t => {
  const requests = [
    sight({ point: 's-p', seq: 1, from: 0, to: 1000, pid: 7 }),
    sight({ point: 's-p', seq: 2, from: 100, to: 900, pid: 7 }),
  ]
  const call = sight({ point: 'c-p', seq: 3, from: 300, to: 400, pid: 7 })
  const spans = await associate([...requests, call])
  t.ok(spans.every(span => span.parentSpanId === ''))
  t.equal(new Set(spans.map(span => span.traceId)).size, 3)
})

t.test('links a call to the only request of its event loop, unless another ended just before', async t => {
  const served = sight({ point: 's-p', seq: 1, from: 10_000, to: 20_000, pid: 7 })
  const call = sight({ point: 'c-p', seq: 3, from: 12_000, to: 13_000, pid: 7 })
  const linked = await associate([served, call])
  t.equal(linked.find(span => span.name === 'c-p 7')?.text(names.linkRule), 'event_loop')
  const before = sight({ point: 's-p', seq: 4, from: 8000, to: 9000, pid: 7 })
  const unlinked = await associate([before, served, call])
  t.equal(unlinked.find(span => span.name === 'c-p 7')?.parentSpanId, '')
})

t.test('a worker thread decides between requests that overlap in the process', async t => {
  const spans = await associate([
    sight({ point: 's-p', seq: 1, from: 0, to: 1000, pid: 7, thread: 71 }),
    sight({ point: 's-p', seq: 2, from: 100, to: 900, pid: 7, thread: 72 }),
    sight({ point: 'c-p', seq: 3, from: 300, to: 400, pid: 7, thread: 71 }),
  ])
  const call = spans.find(span => span.name === 'c-p 7')
  t.equal(spans.find(span => span.spanId === call?.parentSpanId)?.startTimeUnixNano, at(0))
})

t.test('a header that exchanges carry without nesting is demoted', async t => {
  const fixed = { [names.keyTraceparent]: `00-${otelTrace}-1111111111111111-01` }
  const spans = await associate([
    sight({ point: 's-p', seq: 1, from: 0, to: 100, pid: 7, attributes: fixed }),
    sight({ point: 's-p', seq: 2, from: 1000, to: 1100, pid: 7, attributes: fixed }),
  ])
  t.equal(new Set(spans.map(span => span.traceId)).size, 2)
  t.ok(spans.every(span => span.parentSpanId === ''))
})

t.test(
  'a gateway that passes the header on stands between the span that wrote it and the one that names it',
  async t => {
    const header = { [names.keyTraceparent]: `00-${otelTrace}-1111111111111111-01` }
    const spans = await associate([
      appSpan({ service: 'a', trace: otelTrace, id: '1111111111111111', side: 'client', from: 0, to: 1000 }),
      ...exchange({
        seq: 1,
        from: 10,
        to: 990,
        client: { pid: 1 },
        server: { pid: 2 },
        attributes: header,
        path: [],
      }),
      ...exchange({
        seq: 2,
        from: 200,
        to: 800,
        client: { pid: 2 },
        server: { pid: 3 },
        attributes: header,
        path: [],
      }),
      appSpan({
        service: 'b',
        trace: otelTrace,
        id: '2222222222222222',
        parent: '1111111111111111',
        side: 'server',
        from: 300,
        to: 700,
      }),
    ])
    t.strictSame(treeOf(spans), {
      'a client': '',
      'c-p 1': 'a client',
      's-p 2': 'c-p 1',
      'c-p 2': 's-p 2',
      's-p 3': 'c-p 2',
      'b server': 's-p 3',
    })
  },
)

t.test('orders interfaces by first sight, not by duration', async t => {
  const spans = await associate([
    sight({ point: 'c', seq: 1, from: 0, to: 100, interface: 'first' }),
    sight({ point: 's', seq: 1, from: 10, to: 500, interface: 'last' }),
    sight({ point: 'rest', seq: 1, from: 5, to: 90, interface: 'middle' }),
  ])
  t.strictSame(treeOf(spans), { 'c first': '', 'rest middle': 'c first', 's last': 'rest middle' })
})

t.test('an id of zero is no id', async t => {
  const spans = await associate([
    sight({
      point: 's-p',
      seq: 1,
      from: 0,
      to: 100,
      pid: 1,
      attributes: { [names.keyTraceparent]: `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01` },
    }),
    appSpan({ service: 'a', trace: otelTrace, parent: '0'.repeat(16), side: 'server', from: 0, to: 90 }),
  ])
  t.equal(new Set(spans.map(span => span.traceId)).size, 2)
})

t.test('spans of unsampled requests are dropped and counted, or kept', async t => {
  const pieces = exchange({
    seq: 1,
    from: 0,
    to: 100,
    client: { pid: 1 },
    attributes: { [names.keyTraceparent]: `00-${otelTrace}-1111111111111111-00` },
  })
  const run = await start()
  run.input$.next(batchOf(pieces))
  run.clock.advance(30_000)
  t.equal(run.batches.length, 0)
  t.strictSame(run.dropped, [`${pieces.length} unsampled`])
  t.equal((await associate(pieces, { unsampled: 'keep' })).length, pieces.length)
})

t.test('what comes after its trace has left joins it and leaves as a batch of its own', async t => {
  const pieces = shop()
  const isLate = ({ span }: Piece) => span.name === 's-p 60' || span.name === 'c-p 30'
  const run = await start()
  for (const piece of pieces.filter(each => !isLate(each))) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  for (const piece of pieces.filter(isLate)) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  const late = run.batches.slice(-1).flatMap(spansOf)
  t.ok(run.batches.length >= 2)
  for (const span of late) t.equal(span.traceId, otelTrace)
})

t.test('lets the oldest go when it holds too much, and all at the end', async t => {
  const run = await start({ max_held_bytes: 1000 })
  run.input$.next(batchOf(exchange({ seq: 1, from: 0, to: 100, client: { pid: 1 } })))
  t.equal(run.batches.length, 1, 'at once, because the limit is small')
  run.input$.next(batchOf([sight({ point: 'c-p', seq: 9, from: 0, to: 100, pid: 2 })]))
  t.equal(run.batches.length, 1)
  run.input$.complete()
  t.equal(run.batches.length, 2)
})

t.test('forward_app: false keeps APP spans back and says so', async t => {
  const run = await start({ forward_app: false })
  run.input$.next(batchOf(shop()))
  run.clock.advance(30_000)
  t.strictSame(run.dropped, ['5 forward_app is off'])
  t.ok(run.batches.flatMap(spansOf).every(span => span.attributes.has(names.layer)))
})
