import fc from 'fast-check'
import { resolve } from 'node:path'
import { lastValueFrom, toArray } from 'rxjs'
import t from 'tap'
import { createClockMap } from '../../flow/clock-map.ts'
import type { CaptureEvent, InterfaceEvent, NetworkEvent, ProcessEvent } from '../../flow/events.ts'
import { addToHash, hashToHex, startHash } from '../../flow/hash.ts'
import { createFlow } from '../../flow/index.ts'
import type { FinishedSpan, FlowOptions } from '../../flow/index.ts'
import { interfacePlace, observationPoint } from '../../flow/observation-point.ts'
import type { Surroundings } from '../../flow/observation-point.ts'
import { containerIdOf, podUidOf, serviceNameOf } from '../../flow/service-name.ts'
import { names } from '../../model/attribute-names.ts'
import { replay } from '../../receivers/ebpf/recording.ts'
import { createCapture, endpoint, hostNetns } from '../helpers/capture.ts'
import type { Capture } from '../helpers/capture.ts'
import { toBytes } from '../helpers/conversation.ts'

const get = 'GET /stock HTTP/1.1\r\nHost: shop\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const untilClose = 'HTTP/1.0 200 OK\r\n\r\nbody'

function spansOf(
  events: readonly CaptureEvent[],
  options: FlowOptions & { flush?: boolean } = {},
): FinishedSpan[] {
  const flow = createFlow(options)
  const spans = flow.push(events)
  if (options.flush !== false) spans.push(...flow.flush())
  const { eventsSeen, eventsUsed, eventsIgnored } = flow.stats
  const ignored = Object.values(eventsIgnored).reduce((sum, count) => sum + count, 0)
  t.equal(eventsSeen, eventsUsed + ignored, 'every event is accounted for')
  return spans
}

const point = ({ span }: FinishedSpan): string => span.text(names.observationPoint)
const service = ({ resource }: FinishedSpan): string => resource.text(names.serviceName)
const line = (finished: FinishedSpan): string =>
  `${point(finished)} ${service(finished)} ${finished.span.name}`
const incomplete = ({ span }: FinishedSpan): string => span.text(names.incomplete)
const bytesOf = (spans: readonly FinishedSpan[]): string =>
  spans.map(({ span }) => Buffer.from(span.bytes).toString('hex')).join('\n')
const byStart = (a: FinishedSpan, b: FinishedSpan): number =>
  Number(a.span.startTimeUnixNano - b.span.startTimeUnixNano)

function begin(): Capture {
  const capture = createCapture()
  capture.host()
  capture.clock()
  capture.process(1, { name: 'curl' })
  return capture
}

const recorded = async (name: string): Promise<CaptureEvent[]> =>
  (
    await lastValueFrom(replay(resolve(`test/golden/ebpf/${name}.rec`), { pace: 'fast' }).pipe(toArray()), {
      defaultValue: [],
    })
  ).flat()

t.test(
  'recorded: HTTP through DNAT and MASQUERADE is seen at every point of its way, under one trace id',
  async t => {
    const spans = spansOf(await recorded('http-veth')).sort(byStart)
    const way = [
      'c-p curl GET',
      'c curl GET',
      'c-nd vm GET',
      's-nd vm GET',
      's http.server GET',
      's-p http.server GET',
    ]
    t.same(spans.map(line), [...way, ...way])
    for (const exchange of [spans.slice(0, 6), spans.slice(6)]) {
      t.equal(new Set(exchange.map(({ span }) => span.traceId)).size, 1)
      t.equal(new Set(exchange.map(({ span }) => span.spanId)).size, 6)
      t.same(
        exchange.map(({ span }) => span.kind),
        [3, 1, 1, 1, 1, 2],
      )
      t.same(
        exchange.map(({ span }) => span.text(names.serverAddress)),
        ['10.97.1.1', '10.97.1.1', '10.97.1.1', '10.97.2.2', '10.97.2.2', '10.97.2.2'],
      )
      for (const [index, { span }] of exchange.entries()) {
        const outer = exchange[index - 1]?.span
        if (outer === undefined) continue
        t.ok(
          outer.startTimeUnixNano <= span.startTimeUnixNano && span.endTimeUnixNano <= outer.endTimeUnixNano,
          'each lies within the one before',
        )
      }
    }
    t.same(
      spans.map(({ span }) => span.number(names.httpResponseStatusCode)),
      [...Array<number>(6).fill(200), ...Array<number>(6).fill(404)],
    )
    t.same(
      spans.slice(6).map(({ span }) => span.status.code),
      [2, 2, 2, 0, 0, 0],
      'a 404 is an error on the side of the client only',
    )
    t.ok(spans.every(({ span }) => span.text(names.keyTraceparent).startsWith('00-4bf92f')))
    t.ok(spans.every(finished => incomplete(finished) === ''))
    t.equal(
      new Set(spans.map(({ resource }) => resource)).size,
      5,
      'one resource object per process and service',
    )
  },
)

t.test('recorded: Redis, its pipeline too, at both ends and on lo', async t => {
  const spans = spansOf(await recorded('redis'))
  const at = (wanted: string): string[] =>
    spans.filter(finished => point(finished) === wanted).map(({ span }) => span.name)
  const commands = [
    'COMMAND DOCS',
    'SET',
    'GET',
    'GET',
    'INCR',
    'LPUSH',
    'LRANGE',
    'HSET',
    'HGETALL',
    'LPUSH',
    'MULTI',
    'INCR',
    'GET',
    'EXEC',
    'PING',
    'SET',
    'GET',
  ]
  for (const wanted of ['c-p', 's-p', 'local']) t.same(at(wanted), commands)
  t.same(new Set(spans.filter(finished => point(finished) === 's-p').map(service)), new Set(['redis-server']))
  t.same(
    spans.filter(finished => incomplete(finished) !== '').map(({ span }) => span.name),
    Array(3).fill('COMMAND DOCS'),
  )
  t.notMatch(bytesOf(spans), Buffer.from('greeting').toString('hex'))
})

t.test('recorded: MariaDB, with the error and without the values', async t => {
  const spans = spansOf(await recorded('mysql'))
  t.same(
    spans
      .filter(finished => point(finished) === 's-p')
      .map(({ span }) => [
        span.name,
        span.text(names.dbSystemName),
        span.text(names.dbNamespace),
        span.text(names.errorType),
      ]),
    [
      ['CREATE items', 'mariadb', 'shop', ''],
      ['INSERT items', 'mariadb', 'shop', ''],
      ['SELECT items', 'mariadb', 'shop', ''],
      ['SELECT items', 'mariadb', 'shop', ''],
      ['SELECT items', 'mariadb', 'shop', '1054'],
    ],
  )
  t.equal(spans.length, 15)
  t.notMatch(bytesOf(spans), Buffer.from('teapot').toString('hex'))
})

t.test('recorded: DNS by UDP, A and AAAA apart', async t => {
  const spans = spansOf(await recorded('dns'))
  t.equal(spans.length, 16)
  const traces = [...new Set(spans.map(({ span }) => span.traceId))]
  t.equal(traces.length, 4)
  for (const exchange of traces.map(id => spans.filter(({ span }) => span.traceId === id)))
    t.same(
      exchange
        .map(line)
        .map(text => text.split(' ')[0])
        .sort(),
      ['c', 'c-p', 's', 's-p'],
    )
  t.same(
    new Set(spans.map(({ span }) => span.text(names.dnsQuestionName))),
    new Set(['orders.shop.test', 'nowhere.invalid']),
  )
})

t.test('a replay gives the same bytes, however its events are handed in', async t => {
  for (const name of ['http-veth', 'redis', 'dns']) {
    const events = await recorded(name)
    const single = createFlow()
    const spans = events.flatMap(event => single.push([event]))
    t.equal(bytesOf([...spans, ...single.flush()]), bytesOf(spansOf(events)))
  }
})

t.test(
  'a client span lasts from the send of the first byte to the receipt of the last, a server span the other way',
  t => {
    const capture = begin()
    capture.process(2, { name: 'server' })
    const client = capture.socket({ cookie: 1n, local: '10.0.0.1:4000', remote: '10.0.0.2:80' })
    const server = capture.socket({
      cookie: 2n,
      local: '10.0.0.2:80',
      remote: '10.0.0.1:4000',
      role: 'server',
      pid: 2,
      sendSeq: 5000,
      receiveSeq: 1000,
    })
    const start = capture.now()
    client.send(get.slice(0, 10))
    server.receive(get.slice(0, 4))
    client.send(get.slice(10))
    server.receive(get.slice(4))
    server.send(ok.slice(0, 30))
    client.receive(ok.slice(0, 30))
    server.send(ok.slice(30))
    client.receive(ok.slice(30))
    const [first, second] = spansOf(capture.events)
    const unix = (ns: bigint): bigint => ns + 1_700_000_000_000_000_000n
    t.equal(line(first!), 's-p server GET')
    t.equal(first!.span.startTimeUnixNano, unix(start + 2000n))
    t.equal(first!.span.endTimeUnixNano, unix(start + 7000n))
    t.equal(line(second!), 'c-p curl GET')
    t.equal(second!.span.startTimeUnixNano, unix(start + 1000n))
    t.equal(second!.span.endTimeUnixNano, unix(start + 8000n))
    t.equal(first!.span.traceId, second!.span.traceId)
    t.equal(first!.span.number(names.keyRequestSeq), 1000)
    t.equal(first!.span.number(names.keyResponseSeq), 5000)
    t.equal(first!.span.text(names.keyRequestHash), second!.span.text(names.keyRequestHash))
    t.end()
  },
)

t.test('who asks decides who is the client where the kernel does not know', t => {
  const capture = begin()
  const socket = capture.socket({
    cookie: 1n,
    local: '10.0.0.2:80',
    remote: '10.0.0.1:4000',
    role: 'client',
    isRoleInferred: true,
  })
  socket.receive(get)
  socket.send(ok)
  socket.receive(get)
  socket.send(ok)
  const spans = spansOf(capture.events)
  t.same(spans.map(point), ['s-p', 's-p'])
  t.same(spans.map(incomplete), ['late_join', ''], 'only the first may have lost its start')
  t.equal(spans[0]!.span.attribute(names.roleInferred), undefined)
  t.end()
})

t.test('lost events, a gap and a closed connection are said', t => {
  const capture = begin()
  const lost = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80' })
  lost.send(get)
  lost.loseEvents(1)
  lost.receive('body', { seq: 5000 + ok.length - 4 })
  lost.send(get)
  lost.receive(ok)
  const closed = capture.socket({ cookie: 2n, local: '10.0.0.1:2', remote: '10.0.0.2:80' })
  closed.send(get)
  capture.wait(3_000_000n)
  closed.close()
  const gap = capture.socket({ cookie: 3n, local: '10.0.0.1:3', remote: '10.0.0.2:80' })
  gap.send(get)
  capture.add({ type: 'gap', fromNs: capture.now(), toNs: capture.now() })
  gap.receive(ok)
  const spans = spansOf(capture.events)
  t.same(spans.map(incomplete), ['lost_events,no_response', '', 'no_response', 'gap'])
  const [, , unanswered] = spans
  t.ok(
    unanswered!.span.endTimeUnixNano - unanswered!.span.startTimeUnixNano >= 3_000_000n,
    'it lasted until the close',
  )
  t.end()
})

t.test('bytes that no event told of are a hole of known length', t => {
  const capture = begin()
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80', role: 'server' })
  socket.receive(get)
  socket.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
  socket.receive(get)
  socket.send(ok, { seq: 5000 - 4000 + 41 + 1000 }) // the file went by splice
  const spans = spansOf(capture.events)
  t.same(
    spans.map(({ span }) => span.number(names.responseSize)),
    [1041, ok.length],
  )
  t.same(spans.map(incomplete), ['', ''])
  t.end()
})

t.test('a thread that turns to other connections while it waits is an event loop', t => {
  const capture = begin()
  const server = (cookie: bigint, pid: number) =>
    capture.socket({ cookie, pid, local: '10.0.0.2:80', remote: `10.0.0.1:${cookie}`, role: 'server' })
  const client = (cookie: bigint, pid: number) =>
    capture.socket({ cookie, pid, local: `10.0.0.2:${cookie}`, remote: '10.0.0.3:81' })
  // a blocking thread serves a request by calling two others, one after the other
  const [served, firstCall, secondCall] = [server(1n, 1), client(2n, 1), client(3n, 1)]
  served.receive(get)
  for (const call of [firstCall, secondCall]) {
    call.send(get)
    call.receive(ok)
  }
  served.send(ok)
  // an event loop serves two at once
  const [one, other, call] = [server(11n, 7), server(12n, 7), client(13n, 7)]
  one.receive(get)
  call.send(get)
  other.receive(get)
  other.send(ok)
  call.receive(ok)
  one.send(ok)
  const spans = spansOf(capture.events)
  t.same(
    spans.map(({ span }) => [
      span.text(names.keyConnection).split('/')[1],
      span.attribute(names.keyEventLoop) === true,
    ]),
    [
      ['2', false],
      ['3', false],
      ['1', false],
      ['12', false],
      ['13', true],
      ['11', true],
    ],
  )
  t.end()
})

t.test('UDP sockets keep apart those that ask them', t => {
  const capture = begin()
  const query = toBytes('\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x01b\x00\x00\x01\x00\x01')
  const answer = Uint8Array.from(query)
  answer[2] = 0x81
  const socket = capture.socket({
    cookie: 1n,
    local: '10.0.0.53:53',
    remote: '',
    role: 'server',
    transport: 'udp',
  })
  for (const port of [1, 2]) socket.receive(query, { remote: endpoint(`10.0.0.1:${port}`) })
  for (const port of [2, 1]) socket.send(answer, { remote: endpoint(`10.0.0.1:${port}`) })
  const spans = spansOf(capture.events)
  t.same(
    spans.map(({ span }) => span.number(names.clientPort)),
    [2, 1],
  )
  t.same(spans.map(point), ['s-p', 's-p'])
  t.end()
})

t.test('Unix sockets need no numbers, and begin anew after a loss', t => {
  const capture = begin()
  const socket = capture.socket({ cookie: 1n, local: '', remote: '/run/app.sock', transport: 'unix' })
  socket.send(get)
  socket.receive(ok)
  socket.send(get)
  socket.loseEvents(2)
  socket.send(get)
  socket.receive(ok)
  const spans = spansOf(capture.events)
  t.same(spans.map(incomplete), ['', 'lost_events,no_response', 'late_join'])
  t.equal(spans[0]!.span.text(names.serverAddress), '/run/app.sock')
  t.equal(spans[0]!.span.number(names.keyRequestSeq), undefined)
  t.end()
})

t.test('on lo a packet that is sent and received is one sight; seen again it is a retransmission', t => {
  const capture = begin()
  capture.interface(hostNetns, 1, { name: 'lo', kind: 'loopback', addresses: ['127.0.0.1'] })
  const wire = capture.wire({ netns: hostNetns, index: 1, client: '127.0.0.1:4000', server: '127.0.0.1:80' })
  for (const direction of ['transmit', 'receive'] as const) wire.request(get, { seq: 1000, direction })
  wire.request(get, { seq: 1000, direction: 'transmit' })
  for (const direction of ['transmit', 'receive'] as const) wire.response(ok, { seq: 5000, direction })
  const spans = spansOf(capture.events)
  t.same(spans.map(line), ['local machine GET'])
  t.equal(spans[0]!.span.number(names.retransmissions), 1)
  t.end()
})

t.test('a response without a length ends when its connection falls silent', t => {
  const capture = begin()
  const wire = capture.wire({ netns: 1, index: 2, client: '10.0.0.1:4000', server: '10.0.0.2:80' })
  wire.request(get)
  wire.response(untilClose)
  const flow = createFlow()
  t.same(flow.push(capture.events), [])
  const spans = flow
    .advance(capture.now() + 2_500_000_000n)
    .concat(flow.advance(capture.now() + 4_000_000_000n))
  t.same(
    spans.map(({ span }) => span.number(names.responseSize)),
    [untilClose.length],
  )
  t.equal(spans[0]!.span.endTimeUnixNano - spans[0]!.span.startTimeUnixNano, 1000n)
  t.end()
})

t.test('another connection on the same ports is another one', t => {
  const capture = begin()
  const ends = { netns: 1, index: 2, client: '10.0.0.1:4000', server: '10.0.0.2:80' }
  const first = capture.wire(ends)
  first.request(get)
  const second = capture.wire({ ...ends, clientSeq: 3_000_000_000, serverSeq: 9 })
  second.request(get)
  second.response(ok)
  t.same(spansOf(capture.events).map(incomplete).sort(), ['', 'no_response'])
  t.end()
})

t.test('a packet that never comes is a loss, said after a while', t => {
  const capture = begin()
  const wire = capture.wire({ netns: 1, index: 2, client: '10.0.0.1:4000', server: '10.0.0.2:80' })
  wire.request(get)
  wire.response(ok)
  wire.request(get)
  wire.response(ok, { seq: 5000 + 2 * ok.length })
  capture.wait(600_000_000n)
  capture.clock()
  wire.request(get)
  wire.response(ok)
  const spans = spansOf(capture.events)
  t.same(spans.map(incomplete), ['', 'lost_events,no_response', ''])
  t.end()
})

t.test('what is not ours to follow is counted', t => {
  const capture = begin()
  capture.add({
    type: 'own_connection',
    timeNs: capture.now(),
    pid: 9,
    netns: 1,
    local: endpoint('10.0.0.9:5'),
    remote: endpoint('10.0.0.2:4318'),
  })
  capture.wire({ netns: 1, index: 2, client: '10.0.0.9:5', server: '10.0.0.2:4318' }).request(get)
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:22' })
  for (let turn = 0; turn < 10; turn++) {
    socket.send('\x00\x01\x02')
    socket.receive('\x03\x04')
  }
  const flow = createFlow()
  t.same([...flow.push(capture.events), ...flow.flush()], [])
  t.match(flow.stats.eventsIgnored, { own_connection: 1, unknown_protocol: 11 })
  t.ok(flow.stats.unknownBytes > 20)
  t.end()
})

t.test('at a limit the oldest is given up, and counted', t => {
  const capture = begin()
  for (let index = 1; index <= 5; index++) {
    capture.socket({ cookie: BigInt(index), local: `10.0.0.1:${index}`, remote: '10.0.0.2:80' }).send(get)
    capture.wire({ netns: 1, index: 2, client: `10.0.0.1:${index}`, server: '10.0.0.2:80' }).request(get)
  }
  const flow = createFlow({ limits: { maximumSockets: 2, maximumPaths: 3 } })
  const spans = flow.push(capture.events)
  t.same(spans.map(incomplete), ['no_response', 'no_response', 'no_response'])
  t.match(flow.stats, { socketsEvicted: 3, pathsEvicted: 2, sockets: 2, paths: 3 })
  t.end()
})

t.test('silent connections are forgotten, their questions leave without an answer', t => {
  const capture = begin()
  capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80' }).send(get)
  capture.wire({ netns: 1, index: 2, client: '10.0.0.1:4000', server: '10.0.0.2:80' }).request(get)
  const flow = createFlow()
  flow.push(capture.events)
  const spans = flow
    .advance(capture.now() + 400_000_000_000n)
    .concat(flow.advance(capture.now() + 402_000_000_000n))
  t.same(spans.map(incomplete), ['no_response', 'no_response'])
  t.match(flow.stats, { sockets: 0, paths: 0 })
  t.end()
})

t.test('without a reading of the clock there is no span, but a count', t => {
  const capture = createCapture()
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80' })
  socket.send(get)
  socket.receive(ok)
  const flow = createFlow()
  t.same(flow.push(capture.events), [])
  t.equal(flow.stats.exchangesWithoutClock, 1)
  t.end()
})

t.test('a step of the wall clock is marked, its noise is not', t => {
  const clock = createClockMap()
  t.equal(clock.offsetAt(5n), undefined)
  clock.add({ type: 'clock', monotonicNs: 100n, realtimeNs: 1_000_100n, stepped: false })
  clock.add({ type: 'clock', monotonicNs: 200n, realtimeNs: 1_000_900n, stepped: false })
  t.equal(clock.offsetAt(5n), 1_000_000n)
  t.equal(clock.offsetAt(300n), 1_000_000n)
  clock.add({ type: 'clock', monotonicNs: 400n, realtimeNs: 9_000_400n, stepped: true })
  t.equal(clock.offsetAt(300n), 1_000_000n)
  t.equal(clock.offsetAt(400n), 9_000_000n)
  t.ok(clock.hasStepBetween(300n, 500n))
  t.notOk(clock.hasStepBetween(100n, 300n))

  const capture = begin()
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80' })
  socket.send(get)
  capture.clock({ realtimeNs: 5n, stepped: true })
  socket.receive(ok)
  t.same(spansOf(capture.events).map(incomplete), ['clock_step'])
  t.end()
})

t.test('observation points by who owns which address, and who has the socket', t => {
  const [router, a, b] = [1, 2, 3]
  const addresses: Record<number, string[]> = {
    [router]: ['10.1.0.1', '10.2.0.1', '10.9.9.9'],
    [a]: ['10.1.0.2'],
    [b]: ['10.2.0.2'],
  }
  const peers: Record<string, number> = { '1/7': a, '1/8': b, '2/2': router, '3/2': router }
  const surroundings = (sockets: readonly string[], seen: readonly number[]): Surroundings => ({
    interfaceAt: (netns, index) => ({
      type: 'interface',
      netns,
      index,
      name: '',
      kind: 'veth',
      peerIndex: 2,
      peerNetns: peers[`${netns}/${index}`] ?? 0,
      masterIndex: 0,
      addresses: [],
    }),
    ownsAddress: (netns, address) => addresses[netns]?.includes(address) === true,
    hasSocket: (netns, _, local) =>
      seen.includes(netns) ? sockets.includes(`${netns} ${local.address}`) : undefined,
    remoteOf: () => undefined,
    isHere: () => false,
  })
  const at = (
    netns: number,
    interfaceIndex: number,
    client: string,
    server: string,
    known: Surroundings,
  ): string =>
    observationPoint(
      {
        netns,
        interfaceIndex,
        transport: 'tcp',
        client: endpoint(client),
        server: endpoint(server),
        isTunnelled: false,
      },
      known,
    ).point
  const blind = surroundings([], [])
  t.equal(at(a, 2, '10.1.0.2:1', '10.2.0.2:80', blind), 'c')
  t.equal(at(router, 7, '10.1.0.2:1', '10.2.0.2:80', blind), 'c-nd')
  t.equal(at(router, 5, '10.1.0.2:1', '10.2.0.2:80', blind), 'rest')
  t.equal(at(router, 8, '10.1.0.2:1', '10.2.0.2:80', blind), 's-nd')
  t.equal(at(b, 2, '10.1.0.2:1', '10.2.0.2:80', blind), 's')
  t.equal(at(b, 1, '10.2.0.2:1', '10.2.0.2:80', blind), 'local')
  t.equal(at(router, 7, '10.1.0.2:1', '10.1.0.1:80', blind), 's', 'the router may be the server')
  const all = surroundings(['2 10.1.0.2', '3 10.2.0.2', '1 10.9.9.9'], [router, a, b])
  t.equal(
    at(router, 7, '10.1.0.2:1', '10.1.0.1:80', all),
    'c-nd',
    'but has no socket: the address is one of DNAT',
  )
  t.equal(at(router, 8, '10.2.0.1:1', '10.2.0.2:80', all), 's-nd', 'nor for MASQUERADE')
  t.equal(at(router, 5, '10.2.0.1:1', '10.2.0.2:80', all), 'rest')
  t.equal(at(router, 7, '10.1.0.2:1', '10.9.9.9:80', all), 's', 'here it is the server')
  const physical: Surroundings = {
    ...all,
    interfaceAt: (netns, index) => ({ ...all.interfaceAt(netns, index)!, kind: '' }),
    isHere: (_, local) => local.address === '10.1.0.2',
  }
  t.equal(at(router, 5, '10.1.0.2:1', '192.0.2.1:80', physical), 'c-nd', "the node's own way out")
  t.equal(at(router, 5, '192.0.2.1:1', '10.1.0.2:80', physical), 's-nd')
  t.equal(at(router, 5, '192.0.2.1:1', '192.0.2.2:80', physical), 'rest')
  t.end()
})

t.test('services are named by what runs', t => {
  const named = (more: Partial<ProcessEvent>): string => {
    const capture = createCapture()
    capture.process(1, more)
    const [event] = capture.events
    return event?.type === 'process' ? serviceNameOf(event) : ''
  }
  t.equal(
    named({ name: 'nginx', executable: '/usr/sbin/nginx', commandLine: 'nginx: worker process' }),
    'nginx',
  )
  t.equal(
    named({
      name: 'redis-server',
      executable: '/usr/bin/redis-check-rdb',
      commandLine: 'redis-server 127.0.0.1:6379',
    }),
    'redis-server',
  )
  t.equal(
    named({
      name: 'node',
      executable: '/usr/bin/node',
      commandLine: 'node --require ./otel.js /srv/storefront.js --port 1',
    }),
    'storefront',
  )
  t.equal(
    named({ name: 'MainThread', executable: '/usr/bin/node', commandLine: 'node orders.mjs' }),
    'orders',
  )
  t.equal(
    named({
      name: 'python3',
      executable: '/usr/bin/python3.11',
      commandLine: '/usr/bin/python3 -u stock.py',
    }),
    'stock',
  )
  t.equal(
    named({ name: 'python3', executable: '/usr/bin/python3.11', commandLine: 'python3 -m http.server 80' }),
    'http.server',
  )
  t.equal(
    named({ name: 'python3', executable: '/usr/bin/python3.11', commandLine: 'python3 -c x' }),
    'python3',
  )
  t.equal(
    named({ name: 'java', executable: '/usr/bin/java', commandLine: 'java -Xmx1g -jar /app/shop.jar' }),
    'shop',
  )
  t.equal(named({ serviceName: 'mine' }), 'mine')
  const id = 'ab'.repeat(32)
  for (const cgroup of [
    `/docker/${id}`,
    `/system.slice/docker-${id}.scope`,
    `/kubepods/pod1/cri-containerd-${id}.scope/init`,
  ])
    t.equal(containerIdOf(cgroup), id)
  t.equal(containerIdOf('/system.slice/nginx.service'), '')
  t.end()
})

t.test('the hash is FNV-1a of 64 bits', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      const hash = startHash()
      addToHash(hash, bytes, 0, bytes.length)
      let wanted = 0xcbf29ce484222325n
      for (const byte of bytes) wanted = BigInt.asUintN(64, (wanted ^ BigInt(byte)) * 0x100000001b3n)
      return hashToHex(hash) === wanted.toString(16).padStart(16, '0')
    }),
  )
  t.end()
})

const talk = [
  [get, ok],
  [
    'POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  ],
  [get + get, ok + ok],
] as const
const shape = (spans: readonly FinishedSpan[]): unknown =>
  spans.map(({ span }) => [
    span.name,
    span.text(names.incomplete),
    ...[
      names.keyRequestSeq,
      names.keyResponseSeq,
      names.requestSize,
      names.responseSize,
      names.httpResponseStatusCode,
    ].map(name => span.number(name)),
  ])

t.test('any cut into calls gives the same exchanges', t => {
  const run = (cuts: readonly number[]): unknown => {
    const capture = begin()
    const socket = capture.socket({
      cookie: 1n,
      local: '10.0.0.1:1',
      remote: '10.0.0.2:80',
      sendSeq: 0xffffffe0,
      receiveSeq: 0xfffffff0,
    })
    for (const [request, response] of talk) {
      for (const piece of pieces(request, cuts)) socket.send(piece)
      for (const piece of pieces(response, cuts)) socket.receive(piece)
    }
    return shape(spansOf(capture.events))
  }
  const whole = JSON.stringify(run([]))
  fc.assert(
    fc.property(fc.array(fc.nat(150), { maxLength: 12 }), cuts => JSON.stringify(run(cuts)) === whole),
  )
  t.end()
})

t.test('any packetisation, order and repetition within a turn gives the same exchanges', t => {
  const run = (cuts: readonly number[], order: readonly number[], repeats: readonly number[]): unknown => {
    const capture = begin()
    const wire = capture.wire({ netns: 1, index: 2, client: '10.0.0.1:1', server: '10.0.0.2:80' })
    let [requestSeq, responseSeq] = [0xffffffe0, 0xfffffff0]
    const turn = (
      text: string,
      seq: number,
      send: (piece: string, more: { seq: number }) => void,
    ): number => {
      let at = 0
      const segments = pieces(text, cuts).map(piece => {
        const segment = { piece, seq: (seq + at) >>> 0 }
        at += piece.length
        return segment
      })
      // the first packet of a connection tells where it begins: it comes first
      const [first, ...others] = segments
      const shuffled = others
        .map((segment, index) => ({ segment, key: order[index % (order.length || 1)] ?? 0 }))
        .sort((a, b) => a.key - b.key)
      const sent = [first!, ...shuffled.map(({ segment }) => segment)]
      for (const [index, segment] of sent.entries()) {
        send(segment.piece, { seq: segment.seq })
        if (repeats.includes(index)) send(sent[index >> 1]!.piece, { seq: sent[index >> 1]!.seq })
      }
      return (seq + text.length) >>> 0
    }
    for (const [request, response] of talk) {
      requestSeq = turn(request, requestSeq, wire.request)
      responseSeq = turn(response, responseSeq, wire.response)
    }
    return shape(spansOf(capture.events))
  }
  const whole = JSON.stringify(run([], [], []))
  t.equal(whole.match(/"GET"/g)?.length, 3)
  fc.assert(
    fc.property(
      fc.array(fc.nat(150), { maxLength: 10 }),
      fc.array(fc.nat(9), { maxLength: 10 }),
      fc.array(fc.nat(10), { maxLength: 4 }),
      (cuts, order, repeats) => JSON.stringify(run(cuts, order, repeats)) === whole,
    ),
  )
  t.end()
})

t.test('nothing that capture may say makes it throw or lose count', t => {
  const data = fc.oneof(
    fc
      .constantFrom(get, ok, untilClose, '*1\r\n$4\r\nPING\r\n', '+OK\r\n', 'd\0\0\0\n5.5.5-x\0')
      .map(toBytes),
    fc.uint8Array({ maxLength: 60 }),
  )
  const step = fc.record({
    kind: fc.constantFrom('socket', 'packet', 'close', 'gap', 'clock'),
    cookie: fc.bigInt(1n, 3n),
    data,
    seq: fc.oneof(fc.constantFrom(0, 1000, 1034, 5000, 0xffffffff), fc.nat(2000)),
    hole: fc.constantFrom(0, 0, 100),
    forth: fc.boolean(),
    transport: fc.constantFrom('tcp' as const, 'udp' as const),
    ordinal: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const capture = begin()
      for (const { kind, cookie, data: payload, seq, hole, forth, transport, ordinal } of steps) {
        const length = payload.length + hole
        const port = 4000 + Number(cookie)
        const socket = capture.socket({
          cookie,
          local: `10.0.0.1:${port}`,
          remote: '10.0.0.2:80',
          transport,
          role: 'unknown',
        })
        const wire = capture.wire({
          netns: 1,
          index: 2,
          client: `10.0.0.1:${port}`,
          server: '10.0.0.2:80',
          transport,
        })
        if (kind === 'socket') (forth ? socket.send : socket.receive)(payload, { seq, length, ordinal })
        else if (kind === 'packet') (forth ? wire.request : wire.response)(payload, { seq, length })
        else if (kind === 'close') socket.close()
        else if (kind === 'clock') capture.clock()
        else capture.add({ type: 'gap', fromNs: 0n, toNs: capture.now() })
      }
      const flow = createFlow({ limits: { maximumWaitingPackets: 4, maximumWaitingBytes: 200 } })
      const spans = [...flow.push(capture.events), ...flow.flush()]
      const ignored = Object.values(flow.stats.eventsIgnored).reduce((sum, count) => sum + count, 0)
      return (
        spans.length <= capture.events.length * 4 && flow.stats.eventsSeen === flow.stats.eventsUsed + ignored
      )
    }),
  )
  t.end()
})

t.test('an exchange that is the same bytes again gives the span that decoding it would give', t => {
  const other = 'GET /other HTTP/1.1\r\nHost: shop\r\n\r\n'
  const bad = 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n'
  const step = fc.record({
    what: fc.oneof(
      { weight: 14, arbitrary: fc.constant('exchange') },
      {
        weight: 3,
        arbitrary: fc.constantFrom('request', 'response', 'half', 'other', 'bad', 'pipelined', 'head'),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom('wait', 'lose', 'gap', 'end', 'close', 'clock', 'process', 'cut'),
      },
    ),
    on: fc.constantFrom(0, 0, 1),
    tid: fc.constantFrom(1, 1, 1, 2),
  })
  const build = (steps: readonly { what: string; on: number; tid: number }[]): readonly CaptureEvent[] => {
    const capture = begin()
    const sockets = [0, 1].map(on =>
      capture.socket({
        cookie: BigInt(on + 1),
        local: '10.0.0.2:80',
        remote: `10.0.0.1:${4000 + on}`,
        role: on === 0 ? 'server' : 'client',
        sendSeq: 2 ** 28 - 200, // crosses where its number takes a byte more
        receiveSeq: 2 ** 32 - 300, // wraps
      }),
    )
    for (const { what, on, tid } of steps) {
      const socket = sockets[on]!
      const [ask, answer] = on === 0 ? [socket.receive, socket.send] : [socket.send, socket.receive]
      const exchange = (request: string, response: string): void => {
        ask(request, { tid })
        answer(response, { tid })
      }
      const act: Record<string, () => void> = {
        exchange: () => exchange(get, ok),
        request: () => ask(get, { tid }),
        response: () => answer(ok, { tid }),
        half: () => {
          ask(get.slice(0, 9), { tid })
          exchange(get.slice(9), ok)
        },
        other: () => exchange(other, ok),
        bad: () => exchange(get, bad),
        pipelined: () => exchange(get + get, ok + ok),
        head: () => {
          ask(get, { tid })
          answer(ok.slice(0, 20), { tid, length: ok.length })
        },
        wait: () => capture.wait(2_000_000_000n),
        lose: () => socket.loseEvents(1),
        gap: () => capture.add({ type: 'gap', fromNs: 0n, toNs: capture.now() }),
        end: () => ask('', { tid }),
        close: () => socket.close(),
        clock: () => capture.clock({ stepped: true, realtimeNs: capture.now() + 5n ** 25n }),
        process: () => capture.process(1, { name: 'again', startTimeNs: capture.now() }),
        cut: () => ask(get, { tid, payload: toBytes(get.slice(0, 5)) }),
      }
      act[what]!()
    }
    return capture.events
  }
  let repeated = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (steps, size) => {
      const events = build(steps)
      const [fast, slow] = [true, false].map(hasRepeats => {
        const flow = createFlow({ hasRepeats })
        const spans: FinishedSpan[] = []
        for (let at = 0; at < events.length; at += size) spans.push(...flow.push(events.slice(at, at + size)))
        spans.push(...flow.flush())
        repeated += hasRepeats ? flow.stats.repeats : 0
        return `${flow.stats.eventsUsed}\n${bytesOf(spans)}`
      })
      return fast === slow
    }),
    { numRuns: 400 },
  )
  t.ok(repeated > 100, `${repeated} were not decoded`)
  t.end()
})

function pieces(text: string, cuts: readonly number[]): string[] {
  const edges = [0, ...new Set(cuts.map(cut => cut % text.length)), text.length].sort((a, b) => a - b)
  return edges
    .slice(1)
    .map((edge, index) => text.slice(edges[index], edge))
    .filter(piece => piece !== '')
}

const networkEvent = (capture: Capture, more: Partial<NetworkEvent>): void => {
  capture.wait(1000n)
  capture.add({
    type: 'network',
    kind: 'retransmit',
    timeNs: capture.now(),
    transport: 'tcp',
    netns: hostNetns,
    interfaceIndex: 0,
    source: endpoint('10.0.0.1:1'),
    destination: endpoint('10.0.0.2:80'),
    seq: 0,
    length: 0,
    value: 0n,
    reason: '',
    place: '',
    ...more,
  })
}
const eventsOf = ({ span }: FinishedSpan): string[] =>
  span.events.map(event => event.name.replace('fullspan.network.', ''))

t.test('what happened on the way belongs to the exchange whose bytes it is about', t => {
  const capture = begin()
  networkEvent(capture, { kind: 'connected', value: 700n })
  networkEvent(capture, { kind: 'rtt', value: 250n })
  const socket = capture.socket({
    cookie: 1n,
    local: '10.0.0.1:1',
    remote: '10.0.0.2:80',
    sendSeq: 0xffff_fff0,
    receiveSeq: 900,
  })
  socket.send(get)
  networkEvent(capture, { seq: 0xffff_fff8, length: 5 })
  networkEvent(capture, { seq: 0xffff_ffe0, length: 16 }) // what came before it
  networkEvent(capture, {
    seq: 0xffff_fff8,
    length: 5,
    source: endpoint('10.0.0.1:2'),
    destination: endpoint('10.0.0.3:80'),
  })
  // behind a translation of the client's address
  networkEvent(capture, {
    kind: 'drop',
    netns: 7,
    source: endpoint('10.9.9.9:5000'),
    seq: 3,
    length: 5,
    reason: 'NETFILTER_DROP',
    place: 'nft_do_chain',
  })
  networkEvent(capture, { kind: 'zero_window', interfaceIndex: 3 })
  networkEvent(capture, { kind: 'zero_window', netns: 7, interfaceIndex: 3 })
  socket.receive(ok)
  socket.send(get)
  socket.receive(ok)
  const [first, second] = spansOf(capture.events)
  t.same(eventsOf(first!), ['connect', 'retransmission', 'drop', 'zero_window'])
  const { retransmissions, drops, zeroWindows, connectDuration, rtt } = names
  const counts = ({ span }: FinishedSpan): unknown[] =>
    [retransmissions, drops, zeroWindows, connectDuration, rtt].map(name => span.attribute(name))
  t.same(counts(first!), [1, 1, 1, 700, 250])
  t.same(first!.span.events[2]!.attributes, {
    [names.netns]: 7,
    [names.dropReason]: 'NETFILTER_DROP',
    [names.dropFunction]: 'nft_do_chain',
    [names.tcpSeq]: 3,
    [names.tcpLength]: 5,
  })
  t.same(counts(second!), [undefined, undefined, undefined, undefined, 250], 'the next one has none of it')
  t.end()
})

t.test('an exchange that comes again has its own story, decoded or not', t => {
  const capture = begin()
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80' })
  for (let round = 0; round < 12; round++) {
    if (round === 4) networkEvent(capture, { kind: 'rtt', value: 90n })
    socket.send(get)
    if (round === 6) networkEvent(capture, { kind: 'reset_received' })
    socket.receive(ok)
  }
  const spans = spansOf(capture.events)
  t.same(
    spans.map(({ span }) => span.attribute(names.rtt)),
    [...Array<undefined>(4).fill(undefined), ...Array<number>(8).fill(90)],
  )
  t.same(
    spans.map(({ span }) => span.attribute(names.resets)),
    spans.map((_, round) => (round === 6 ? 1 : undefined)),
  )
  t.equal(bytesOf(spans), bytesOf(spansOf(capture.events, { hasRepeats: false })))
  t.end()
})

t.test('only so much of what happened is remembered', t => {
  const capture = begin()
  const socket = capture.socket({ cookie: 1n, local: '10.0.0.1:1', remote: '10.0.0.2:80', sendSeq: 0 })
  socket.send(get)
  for (let each = 0; each < 50; each++) networkEvent(capture, { seq: 0, length: 5 })
  socket.receive(ok)
  const flow = createFlow({ limits: { maximumNetworkEvents: 40 } })
  const [span] = [...flow.push(capture.events), ...flow.flush()]
  t.equal(span!.span.attribute(names.retransmissions), 40)
  t.equal(span!.span.events.length, 32, 'and fewer are told one by one')
  t.equal(flow.stats.networkEventsForgotten, 10)
  t.end()
})

t.test('who a namespace belongs to: a pod, a container, or a program', t => {
  const container = 'c0ffee00'.repeat(8)
  const uid = '0a1b2c3d-0000-4000-8000-00000000abcd'
  t.equal(podUidOf(`/kubepods/burstable/pod${uid}/${container}`), uid)
  const slice = `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`
  t.equal(podUidOf(`/kubepods.slice/${slice}/cri-containerd-${container}.scope`), uid)
  t.equal(podUidOf('/system.slice/podman.service'), '')

  const ownerOf = (...processes: Partial<ProcessEvent>[]): unknown => {
    const capture = begin()
    for (const [index, process] of processes.entries()) capture.process(10 + index, { netns: 7, ...process })
    capture.interface(7, 2, { name: 'eth0' })
    const wire = capture.wire({ netns: 7, index: 2, client: '10.0.0.1:1', server: '10.0.0.2:80' })
    wire.request(get)
    wire.response(ok)
    return spansOf(capture.events)[0]?.span.attribute(names.capturePoint)
  }
  t.equal(ownerOf({ name: 'nginx' }), 'nginx')
  t.equal(ownerOf({ name: 'nginx', cgroup: `/docker/${container}` }), `container ${container}`)
  const inPod = (id: string): Partial<ProcessEvent> => ({ cgroup: `/kubepods/pod${uid}/${id}` })
  t.equal(ownerOf(inPod(container), inPod('beef0000'.repeat(8))), `pod ${uid}`, 'its containers share it')
  t.equal(ownerOf({ name: 'nginx' }, { name: 'redis' }), undefined, 'several programs: nobody in particular')
  t.end()
})

t.test('interfaces by what they are part of', t => {
  const link = (kind: string, masterIndex = 0): InterfaceEvent => ({
    type: 'interface',
    netns: 1,
    index: 2,
    name: 'x',
    kind,
    peerIndex: 0,
    peerNetns: 0,
    masterIndex,
    addresses: [],
  })
  t.equal(interfacePlace(link(''), undefined), 'physical')
  t.equal(interfacePlace(link('loopback'), undefined), 'loopback')
  t.equal(interfacePlace(link('veth'), undefined), 'veth')
  t.equal(interfacePlace(link('veth', 3), link('bridge')), 'bridge port')
  t.equal(interfacePlace(link('vxlan', 3), link('bridge')), 'bridge port')
  t.equal(interfacePlace(link('', 3), link('bond')), 'physical')
  t.equal(interfacePlace(link('geneve'), undefined), 'tunnel')
  t.equal(interfacePlace(link('veth', 3), link('openvswitch')), 'ovs port')
  t.equal(interfacePlace(link('openvswitch'), undefined), 'ovs port', 'an internal one')
  t.equal(interfacePlace(link('macvlan'), undefined), 'virtual')
  t.end()
})
