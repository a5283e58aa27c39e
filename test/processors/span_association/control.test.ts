import fc from 'fast-check'
import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import { Span } from '../../../model/span.ts'
import { associate, startAssociation } from '../../helpers/association.ts'
import {
  appSpan,
  at,
  batchOf,
  exchange,
  type Piece,
  type SightFields,
  sight,
  treeOf,
} from '../../helpers/stack.ts'

const trace = 'a'.repeat(32)

/** One process, pid 7: requests that it served and calls that it made, named by their sequence numbers. */
const served = (seq: number, from: number, to: number, more: Partial<SightFields> = {}) =>
  sight({ point: 's-p', seq, from, to, pid: 7, ...more })
const called = (seq: number, from: number, to: number, more: Partial<SightFields> = {}) =>
  sight({ point: 'c-p', seq, from, to, pid: 7, ...more })

const seqOf = (span: Span | undefined) => span?.number(names.keyRequestSeq)
const withSeq = (spans: readonly Span[], seq: number) => spans.find(span => seqOf(span) === seq)
/** The request under which a call was put; undefined: none. */
const parentOf = (spans: readonly Span[], seq: number) =>
  seqOf(spans.find(({ spanId }) => spanId === withSeq(spans, seq)?.parentSpanId))
const ruleOf = (spans: readonly Span[], seq: number) => withSeq(spans, seq)?.text(names.linkRule)

const coroutine = (id: number) => ({ attributes: { [names.keyCoroutine]: id } })

t.test('a coroutine decides between requests at once, whatever thread runs it', async t => {
  const spans = await associate([
    served(1, 0, 1000, { thread: 71, ...coroutine(5) }),
    served(2, 100, 900, { thread: 71, ...coroutine(6) }),
    called(3, 300, 400, { thread: 72, ...coroutine(5) }),
    called(4, 300, 400, { thread: 71, ...coroutine(6) }),
    called(5, 500, 600, { thread: 71, ...coroutine(8) }),
  ])
  t.equal(parentOf(spans, 3), 1)
  t.equal(parentOf(spans, 4), 2)
  t.equal(ruleOf(spans, 3), 'coroutine')
  t.equal(parentOf(spans, 5), undefined, 'one that served nothing')
})

t.test('a coroutine that serves its next request has left the last one', async t => {
  const spans = await associate([
    served(1, 0, 1000, coroutine(5)),
    served(2, 2000, 3000, coroutine(5)),
    called(3, 2100, 2200, coroutine(5)),
    called(4, 1400, 1500, coroutine(5)),
  ])
  t.equal(parentOf(spans, 3), 2)
  t.equal(parentOf(spans, 4), undefined)
})

t.test('a coroutine of another process is another', async t => {
  const spans = await associate([
    served(1, 0, 1000, { thread: 71, ...coroutine(5) }),
    served(2, 0, 1000, { thread: 72, ...coroutine(6) }),
    called(3, 100, 200, { pid: 8, thread: 81, ...coroutine(5) }),
  ])
  t.equal(parentOf(spans, 3), undefined)
})

t.test('a thread that was seen to go to others before the answer is a loop', async t => {
  const interleaved = { [names.keyEventLoop]: true }
  const worker = await associate([
    served(1, 10_000, 20_000, { thread: 71 }),
    served(2, 7000, 8000, { thread: 71 }),
    called(3, 11_000, 12_000, { thread: 71 }),
  ])
  t.equal(ruleOf(worker, 3), 'thread', 'a worker may have ended another request just before')
  for (const [who, pieces] of Object.entries({
    request: [
      served(1, 10_000, 20_000, { thread: 71, attributes: interleaved }),
      called(3, 11_000, 12_000, { thread: 71 }),
    ],
    call: [
      served(1, 10_000, 20_000, { thread: 71 }),
      called(3, 11_000, 12_000, { thread: 71, attributes: interleaved }),
    ],
  })) {
    const before = served(2, 7000, 8000, { thread: 71 })
    t.equal(parentOf(await associate([before, ...pieces]), 3), undefined, who)
    t.equal(ruleOf(await associate(pieces), 3), 'event_loop', who)
  }
})

t.test('a loop that lost events claims nothing', async t => {
  const lost = { [names.incomplete]: 'lost_events' }
  const request = served(1, 10_000, 20_000, { attributes: lost })
  t.equal(parentOf(await associate([request, called(3, 11_000, 12_000)]), 3), undefined)
  const call = called(3, 11_000, 12_000, { attributes: lost })
  t.equal(parentOf(await associate([served(1, 10_000, 20_000), call]), 3), undefined)
})

t.test('thread and coroutine 0 are none', async t => {
  const zero = { thread: 0, ...coroutine(0) }
  const spans = await associate([
    served(1, 0, 1000, zero),
    served(2, 100, 900, zero),
    called(3, 300, 400, zero),
    called(4, 320, 350, { ...zero, pid: 8 }),
  ])
  t.ok(spans.every(span => span.parentSpanId === ''))
})

t.test('of two requests at once in one process none takes the calls of the other', async t => {
  // DeepFlow gives both calls to the later request, because ids of 0 are equal there.
  const spans = await associate([
    served(1, 0, 1000, { thread: 71 }),
    served(2, 100, 900, { thread: 72 }),
    called(3, 300, 400, { thread: 71 }),
    called(4, 310, 410, { thread: 72 }),
    called(5, 320, 420, { thread: 73 }),
  ])
  t.equal(parentOf(spans, 3), 1)
  t.equal(parentOf(spans, 4), 2)
  t.equal(parentOf(spans, 5), undefined)
})

t.test(
  'requests and calls in any number: a link is made only where exactly one request was open',
  async t => {
    const request = fc.record({
      from: fc.integer({ min: 0, max: 50_000 }),
      length: fc.integer({ min: 1, max: 9000 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { maxLength: 8 }),
        fc.array(request, { maxLength: 8 }),
        async (requests, calls) => {
          const pieces = [
            ...requests.map(({ from, length }, n) => served(n + 1, from, from + length)),
            ...calls.map(({ from, length }, n) => called(n + 100, from, from + length)),
          ]
          const spans = await associate(pieces)
          for (const [n, { from, length }] of calls.entries()) {
            const parent = parentOf(spans, n + 100)
            if (parent === undefined) continue
            const open = requests.filter(
              each => each.from <= from && from + length <= each.from + each.length,
            )
            t.strictSame(open, [requests[parent - 1]], 'the only one')
          }
        },
      ),
      { numRuns: 60 },
    )
  },
)

/** What a runtime says: times in µs, as in `at`. */
function hint(call: [socket: string, us: number], request?: [socket: string, us: number]): Piece {
  const piece = appSpan({
    service: 'hint',
    trace,
    side: 'internal',
    from: call[1],
    to: call[1],
    attributes: {
      [names.hintCall]: call[0],
      [names.hintCallTime]: String(at(call[1])),
      ...(request && { [names.hintRequest]: request[0], [names.hintRequestTime]: String(at(request[1])) }),
    },
  })
  return { ...piece, scope: piece.scope.with({ [names.hint]: 'node' }) }
}

const socket = (client: number, server: number) => `boot|42|10.0.0.1|${client}|10.0.0.2|${server}`
const on = (client: number, server: number): Partial<SightFields> => ({
  attributes: {
    [names.netns]: 42,
    [names.clientAddress]: '10.0.0.1',
    [names.clientPort]: client,
    [names.serverAddress]: '10.0.0.2',
    [names.serverPort]: server,
  },
})

const busyLoop = [
  served(1, 0, 20_000, on(5001, 80)),
  served(2, 1000, 19_000, on(5002, 80)),
  called(3, 5000, 9000, on(6001, 81)),
  called(4, 5100, 8000, on(6002, 81)),
]

t.test('a runtime’s hints decide between requests at once on an event loop', async t => {
  t.equal(parentOf(await associate(busyLoop), 3), undefined, 'nothing else could')
  const hints = [
    hint([socket(6001, 81), 8900], [socket(5001, 80), 50]),
    hint([socket(6002, 81), 7900], [socket(5002, 80), 1050]),
  ]
  const spans = await associate([...busyLoop, ...hints])
  t.equal(parentOf(spans, 3), 1)
  t.equal(parentOf(spans, 4), 2)
  t.equal(ruleOf(spans, 3), 'runtime_hint')
  t.equal(withSeq(spans, 3)?.attribute(names.linkConfidence), 0.99)
  t.equal(spans.length, busyLoop.length, 'hints go no further')
  const swapped = await associate([...hints.reverse(), ...busyLoop.toReversed()])
  t.equal(parentOf(swapped, 4), 2)
})

t.test('requests and calls one after another on the same sockets are told apart by time', async t => {
  const pieces = [0, 1, 2].flatMap(n => {
    const from = n * 20_000
    return [
      served(10 + n, from, from + 10_000, on(5001, 80)),
      served(20 + n, from + 100, from + 9000, on(5002, 80)),
      called(30 + n, from + 200, from + 5000, on(6001, 81)),
      hint([socket(6001, 81), from + 4900], [socket(n === 1 ? 5002 : 5001, 80), from + 150]),
    ]
  })
  const spans = await associate(pieces)
  t.strictSame(
    [30, 31, 32].map(seq => parentOf(spans, seq)),
    [10, 21, 12],
  )
})

t.test('a hint that no request was behind a call keeps weaker rules from guessing', async t => {
  const alone = [served(1, 0, 20_000, on(5001, 80)), called(3, 5000, 9000, on(6001, 81))]
  t.equal(ruleOf(await associate(alone), 3), 'event_loop')
  t.equal(parentOf(await associate([...alone, hint([socket(6001, 81), 8900])]), 3), undefined)
})

t.test('hints that contradict each other, or say nothing, are not believed', async t => {
  const contrary = [
    hint([socket(6001, 81), 8900], [socket(5001, 80), 50]),
    hint([socket(6001, 81), 8800], [socket(5002, 80), 1050]),
  ]
  t.equal(parentOf(await associate([...busyLoop, ...contrary]), 3), undefined)
  const strange = [
    hint(['', 8900], [socket(5001, 80), 50]),
    hint([socket(6001, 81), 8900], ['elsewhere', 50]),
  ]
  t.equal(parentOf(await associate([...busyLoop, ...strange]), 3), undefined)
})

/** A client's span and a call of the same process, with no id on the wire. */
function unlabelled(
  resource: Record<string, string | number>,
  processResource: Record<string, string | number>,
) {
  return [
    appSpan({
      service: 'a',
      trace,
      side: 'client',
      from: 0,
      to: 1000,
      attributes: { 'db.system': 'redis', 'db.operation': 'GET' },
      resource,
    }),
    sight({
      point: 'c-p',
      seq: 1,
      from: 10,
      to: 990,
      pid: 4711,
      attributes: { 'db.system.name': 'redis', 'db.operation.name': 'GET' },
      resource: processResource,
    }),
  ]
}

const containerId = '0123456789ab'.padEnd(64, 'c')

t.test('a resource is bound by the pid of its own namespace together with its host or container', async t => {
  const bound: [Record<string, string | number>, Record<string, string | number>][] = [
    [{ 'process.pid': 4711, 'host.id': 'host-1' }, { 'process.pid': 4711 }],
    [
      { 'process.pid': 4711, 'host.name': 'n1' },
      { 'process.pid': 4711, 'host.name': 'n1' },
    ],
    [
      { 'process.pid': 1, 'container.id': containerId },
      { 'process.pid': 4711, 'process.vpid': 1, 'container.id': containerId },
    ],
    [
      { 'process.pid': 1, 'host.name': containerId.slice(0, 12) },
      { 'process.pid': 4711, 'process.vpid': 1, 'container.id': containerId },
    ],
  ]
  for (const [told, seen] of bound) {
    const spans = await associate(unlabelled(told, seen))
    t.strictSame(treeOf(spans), { 'a client': '', 'c-p 4711': 'a client' }, JSON.stringify(told))
  }
  const unbound: [Record<string, string | number>, Record<string, string | number>][] = [
    [{}, { 'process.pid': 4711 }],
    [{ 'process.pid': 4711 }, { 'process.pid': 4711 }],
    [{ 'process.pid': 4711, 'host.id': 'host-2' }, { 'process.pid': 4711 }],
    [{ 'process.pid': 0, 'host.id': 'host-1' }, { 'process.pid': 0 }],
    // the host's pid, told by a process that is the container's pid 1
    [
      { 'process.pid': 4711, 'container.id': containerId },
      { 'process.pid': 4711, 'process.vpid': 1, 'container.id': containerId },
    ],
    [
      { 'process.pid': 1, 'host.id': 'host-1' },
      { 'process.pid': 4711, 'process.vpid': 1, 'container.id': containerId },
    ],
    [
      { 'process.pid': 4711, 'host.id': 'host-1', 'process.creation.time': '2023-11-14T20:00:00.000Z' },
      { 'process.pid': 4711, 'process.creation.time': '2023-11-14T21:00:00.000Z' },
    ],
  ]
  for (const [told, seen] of unbound) {
    const spans = await associate(unlabelled(told, seen))
    t.ok(
      spans.every(span => span.parentSpanId === ''),
      JSON.stringify(told),
    )
  }
})

t.test('a service’s name binds nothing', async t => {
  const [app, call] = unlabelled({}, { 'service.name': 'a', 'process.pid': 4711 })
  t.ok((await associate([app!, call!])).every(span => span.parentSpanId === ''))
})

t.test('of two processes with one pid, one after the other, the one that lived then', async t => {
  const operation = { 'db.system.name': 'redis', 'db.operation.name': 'GET' }
  const process = (start: number, born: string, from: number, seq: number) =>
    sight({
      point: 'c-p',
      seq,
      from,
      to: from + 900,
      pid: 4711,
      attributes: { ...operation, [names.keyProcess]: `boot/4711/${start}` },
      resource: { 'process.pid': 4711, 'process.creation.time': born },
    })
  const spans = await associate([
    appSpan({
      service: 'a',
      trace,
      side: 'client',
      from: 10_000_000,
      to: 10_001_000,
      attributes: { 'db.system': 'redis', 'db.operation': 'GET' },
      resource: { 'process.pid': 4711, 'host.id': 'host-1' },
    }),
    process(1, '2023-11-14T22:00:00.000Z', 10_000_050, 1),
    process(2, '2023-11-14T22:13:40.000Z', 30_000_000, 2), // 20 s after the epoch of `at`
  ])
  t.not(withSeq(spans, 1)?.parentSpanId, '')
  t.equal(withSeq(spans, 2)?.parentSpanId, '')
})

t.test('the connection on which spans came tells their process, unless they came from another', async t => {
  const arriving = async (resource: Record<string, string | number>) => {
    const [app, call] = unlabelled(resource, { 'process.pid': 4711 })
    const { span } = app!
    const sent = new Span(span.source, { id: 1, peer: '10.0.0.1:33333' }, span.from, span.to)
    const run = await startAssociation({}, { peers: { set: ignore, get: () => 'boot/4711/1' } })
    for (const piece of [{ ...app!, span: sent }, call!]) run.input$.next(batchOf([piece]))
    run.clock.advance(30_000)
    return treeOf(run.spans())['c-p 4711']
  }
  t.equal(await arriving({}), 'a client')
  t.equal(await arriving({ 'process.pid': 4711 }), 'a client')
  t.equal(await arriving({ 'process.pid': 12 }), '', 'an agent of pid 4711 sends for pid 12')
})

t.test('two equal calls at once are not told apart, different ones are', async t => {
  const attributes = (operation: string) => ({ 'db.system': 'redis', 'db.operation': operation })
  const resource = { 'process.pid': 4711, 'host.id': 'host-1' }
  const app = (operation: string, id: string) =>
    appSpan({
      service: 'a',
      trace,
      id: id.repeat(16),
      side: 'client',
      from: 0,
      to: 1000,
      attributes: attributes(operation),
      resource,
    })
  const call = (operation: string, seq: number) =>
    sight({
      point: 'c-p',
      seq,
      from: 10,
      to: 990,
      pid: 4711,
      attributes: { 'db.system.name': 'redis', 'db.operation.name': operation },
      resource: { 'process.pid': 4711 },
    })
  const same = await associate([app('GET', '1'), app('GET', '2'), call('GET', 1), call('GET', 2)])
  t.ok(same.filter(span => span.name === 'c-p 4711').every(span => span.parentSpanId === ''))
  const different = await associate([app('GET', '1'), app('SET', '2'), call('GET', 1), call('SET', 2)])
  t.equal(withSeq(different, 1)?.parentSpanId, '1'.repeat(16))
  t.equal(withSeq(different, 2)?.parentSpanId, '2'.repeat(16))
})

t.test(
  'interfaces stand in the order of the path, also where one nearer the server saw it longer',
  async t => {
    // DeepFlow orders by duration and shows the server's hypervisor as its client's parent.
    const spans = await associate([
      sight({ point: 'c-hv', seq: 1, from: 10, to: 100, host: 'h1', interface: 'c-hv' }),
      sight({ point: 's-hv', seq: 1, from: 20, to: 110, host: 'h2', interface: 's-hv' }),
      sight({ point: 'c', seq: 1, from: 0, to: 105, host: 'h1', interface: 'c' }),
      sight({ point: 's', seq: 1, from: 25, to: 95, host: 'h2', interface: 's' }),
    ])
    t.match(treeOf(spans), { 'c c': '', 'c-hv c-hv': 'c c', 's-hv s-hv': 'c-hv c-hv', 's s': 's-hv s-hv' })
  },
)

t.test('messages that were seen one way only do not scramble the path', async t => {
  const oneWay = exchange({ seq: 1, from: 0, to: 500, client: { pid: 1 }, server: { pid: 2 } })
  const cut = oneWay.map(piece =>
    ['c-nd if-c-nd', 's if-s'].includes(piece.span.name)
      ? {
          ...piece,
          span: piece.span.with({
            attributes: { [names.keyResponseSeq]: undefined, [names.incomplete]: 'no_response' },
          }),
        }
      : piece,
  )
  const expected = {
    'c-p 1': '',
    'c if-c': 'c-p 1',
    'c-nd if-c-nd': 'c if-c',
    's-nd if-s-nd': 'c-nd if-c-nd',
    's if-s': 's-nd if-s-nd',
    's-p 2': 's if-s',
  }
  t.strictSame(treeOf(await associate(cut)), expected, 'the response was missed at two interfaces')
  const stray = sight({
    point: 's-nd',
    seq: 9,
    from: 400,
    to: 450,
    interface: 'stray',
    attributes: { [names.keyRequestSeq]: '', [names.keyRequestHash]: '' },
  })
  t.strictSame(
    treeOf(await associate([stray, ...cut])),
    { ...expected, 's-nd stray': '' },
    'a response alone',
  )
})

function ignore(): void {
  // What capture would set is fixed here.
}
