import t from 'tap'
import { createFlow } from '../../flow/index.ts'
import type { FinishedSpan } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import { createCapture, hostNetns } from '../helpers/capture.ts'
import type { Capture, Socket } from '../helpers/capture.ts'
import {
  changeCipherSpec,
  clientHello,
  finished,
  overhead13,
  sealed,
  serverHello,
} from '../helpers/tls-records.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

function begin(): Capture {
  const capture = createCapture()
  capture.host()
  capture.clock()
  capture.process(1, { name: 'curl' })
  return capture
}

function handshake(socket: Socket): void {
  socket.send(clientHello('shop'))
  socket.receive(Buffer.concat([serverHello('1.3'), sealed(900, 1)]))
  socket.send(Buffer.concat([changeCipherSpec, finished]))
}

/** What the library gave or got; `cookie` 0n: no socket was used within the call. */
function plain(
  capture: Capture,
  direction: 'send' | 'receive',
  text: string,
  { cookie = 0n, session = 7n, tid = 1 }: { cookie?: bigint; session?: bigint; tid?: number } = {},
): void {
  capture.wait(1000n)
  capture.add({
    type: 'tls_data',
    timeNs: capture.now(),
    cookie,
    session,
    direction,
    seq: 0,
    length: text.length,
    payload: Buffer.from(text),
    pid: 1,
    tid,
  })
}

function read(capture: Capture): { spans: FinishedSpan[]; unmatched: number } {
  const flow = createFlow()
  const spans = [...flow.push(capture.events), ...flow.flush()]
  return { spans, unmatched: flow.stats.tlsUnmatched }
}

const keyOf = ({ span }: FinishedSpan): string =>
  `${Number(span.attribute(names.keyRequestSeq))} ${span.text(names.keyRequestHash)}`
const line = ({ span }: FinishedSpan): string =>
  [span.text(names.keyConnection).split('/')[1], span.name, span.text(names.urlPath)].join(' ').trim()
const socketOf = (capture: Capture, cookie: bigint, port = 40_000): Socket =>
  capture.socket({ cookie, local: `10.0.0.1:${port}`, remote: '10.0.0.2:443' })

t.test(
  'what the library reads and writes on the socket itself is its exchange, by the key of the wire',
  t => {
    const capture = begin()
    const socket = socketOf(capture, 5n)
    const wire = capture.wire({
      netns: hostNetns,
      index: 2,
      client: '10.0.0.1:40000',
      server: '10.0.0.2:443',
    })
    handshake(socket)
    wire.request(clientHello('shop'))
    wire.response(Buffer.concat([serverHello('1.3'), sealed(900, 1)]))
    const request = sealed(get('/a').length, 2)
    socket.send(request)
    plain(capture, 'send', get('/a'), { cookie: 5n })
    wire.request(Buffer.concat([changeCipherSpec, finished, request]))
    const response = sealed(ok.length, 3)
    wire.response(response)
    socket.receive(response.subarray(0, 5))
    socket.receive(response.subarray(5))
    plain(capture, 'receive', ok, { cookie: 5n })
    const { spans, unmatched } = read(capture)
    const sys = spans.find(each => each.span.text(names.urlPath) === '/a')!
    const net = spans.find(each => each.span.name === 'TLS')!
    t.equal(unmatched, 0)
    t.equal(spans.length, 4, 'and the handshake at both; the encrypted exchange of the socket is not another')
    t.match(keyOf(sys), /^\d+ [0-9a-f]{16}$/)
    t.equal(keyOf(sys), keyOf(net))
    t.equal(sys.span.traceId, net.span.traceId)
    t.equal(sys.span.attribute(names.keyResponseSeq), net.span.attribute(names.keyResponseSeq))
    t.same(
      [names.urlScheme, names.tls, names.tlsProtocolVersion, names.requestSize].map(name =>
        sys.span.attribute(name),
      ),
      ['https', 'plaintext', '1.3', get('/a').length],
      'sizes are those in the clear',
    )
    t.end()
  },
)

t.test('what is encrypted in memory is found by the send that follows and the receive before', t => {
  const capture = begin()
  const [a, b] = [socketOf(capture, 5n, 40_000), socketOf(capture, 6n, 40_001)]
  handshake(a)
  handshake(b)
  plain(capture, 'send', get('/of/a'), { session: 70n })
  a.send(sealed(get('/of/a').length, 2))
  plain(capture, 'send', get('/b'), { session: 80n })
  b.send(sealed(get('/b').length, 3))
  b.receive(sealed(ok.length, 4))
  plain(capture, 'receive', ok, { session: 80n })
  a.receive(sealed(ok.length, 5))
  plain(capture, 'receive', ok, { session: 70n })
  a.close()
  b.close()
  const { spans, unmatched } = read(capture)
  t.same(spans.map(line).toSorted(), ['5 GET /of/a', '5 TLS handshake', '6 GET /b', '6 TLS handshake'])
  t.equal(unmatched, 0)
  t.end()
})

t.test('one record that fits is not believed', t => {
  const capture = begin()
  const socket = socketOf(capture, 5n)
  handshake(socket)
  plain(capture, 'send', get('/elsewhere'))
  socket.send(sealed(get('/elsewhere').length, 2))
  socket.receive(sealed(300, 3))
  plain(capture, 'receive', ok)
  const { spans, unmatched } = read(capture)
  t.same(spans.map(line), ['5 TLS handshake', '5 TLS'], 'what is left is the encrypted exchange')
  t.equal(unmatched, 2)
  t.end()
})

t.test('a record that is read in pieces, and one that holds several messages, keep its number', t => {
  const capture = begin()
  const socket = socketOf(capture, 5n)
  handshake(socket)
  const both = get('/1') + get('/2')
  socket.send(sealed(both.length, 2))
  plain(capture, 'send', both, { cookie: 5n })
  const answer = ok + ok
  socket.receive(sealed(answer.length, 3))
  plain(capture, 'receive', answer.slice(0, 10), { cookie: 5n })
  plain(capture, 'receive', answer.slice(10))
  const { spans } = read(capture)
  const gets = spans.filter(({ span }) => span.name === 'GET')
  t.same(
    gets.map(({ span }) => span.text(names.urlPath)),
    ['/1', '/2'],
  )
  const seqs = (name: string): number[] => gets.map(({ span }) => Number(span.attribute(name)))
  const [first = 0, second = 0] = seqs(names.keyRequestSeq)
  t.equal(second - first, get('/1').length)
  const [firstResponse = 0, secondResponse = 0] = seqs(names.keyResponseSeq)
  t.equal(secondResponse - firstResponse, ok.length)
  t.equal(gets[1]!.span.text(names.keyRequestHash), '', 'only what begins a record has its hash')
  t.end()
})

t.test('lost events of the socket show on the exchange in the clear', t => {
  const capture = begin()
  const socket = socketOf(capture, 5n)
  handshake(socket)
  socket.send(sealed(get('/a').length, 2))
  plain(capture, 'send', get('/a'), { cookie: 5n })
  socket.loseEvents(1)
  socket.receive(sealed(ok.length, 3))
  plain(capture, 'receive', ok, { cookie: 5n })
  const { spans } = read(capture)
  const found = spans.find(({ span }) => span.name === 'GET')
  t.equal(found?.span.text(names.incomplete), 'lost_events')
  t.end()
})

t.test('without the library encrypted sockets have SYS spans of their records', t => {
  const capture = begin()
  const socket = socketOf(capture, 5n)
  handshake(socket)
  socket.send(sealed(100, 2))
  socket.receive(sealed(200, 3))
  const { spans } = read(capture)
  t.same(spans.map(line), ['5 TLS handshake', '5 TLS'])
  t.equal(spans[1]!.span.attribute(names.requestSize), 100 + overhead13 + 5)
  t.end()
})
