import fc from 'fast-check'
import t from 'tap'
import { names } from '../../model/attribute-names.ts'
import http1 from '../../protocols/http1/index.ts'
import { converse, cutPieces, toBytes } from '../helpers/conversation.ts'
import type { Piece } from '../helpers/conversation.ts'

const client = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'client', bytes, ...more })
const server = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'server', bytes, ...more })
const get = 'GET /stock/7?token=abc&x=1 HTTP/1.1\r\nHost: shop\r\nUser-Agent: curl/8\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'
const statusOf = (exchange: { attributes: Readonly<Record<string, unknown>> }): unknown =>
  exchange.attributes[names.httpResponseStatusCode]

t.test('a request and its response make one exchange by the semantic conventions', t => {
  const [exchange, ...others] = converse([http1], [client(get), server(ok)])
  t.equal(others.length, 0)
  t.match(exchange, {
    name: 'GET',
    error: '',
    incomplete: [],
    request: [0, get.length],
    response: [0, ok.length],
    attributes: {
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'network.protocol.name': 'http',
      'network.protocol.version': '1.1',
      'url.path': '/stock/7',
      'url.query': 'token=REDACTED&x=REDACTED',
      'url.scheme': 'http',
      'user_agent.original': 'curl/8',
      'http.request.header.host': ['shop'],
    },
  })
  t.end()
})

t.test('propagation headers are keys, credentials never leave', t => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const sw8 = `1-${btoa('trace.1')}-${btoa('segment.2')}-3-${btoa('s')}-${btoa('i')}-${btoa('e')}-${btoa('p')}`
  const [exchange] = converse(
    [http1],
    [
      client(
        `POST /a HTTP/1.1\r\nAuthorization: Bearer sesame\r\nCookie: id=sesame\r\nTraceparent: ${traceparent}\r\nsw8: ${sw8}\r\nX-Request-Id: r-1\r\nContent-Length: 6\r\n\r\nsesame`,
      ),
      server('HTTP/1.1 204 No Content\r\nSet-Cookie: sesame\r\nx-request-id: r-2\r\n\r\n'),
    ],
  )
  t.match(exchange?.attributes, {
    'fullspan.key.traceparent': traceparent,
    'fullspan.key.sw8': 'trace.1/segment.2/3',
    'fullspan.key.request_id': 'r-1',
    'fullspan.key.response_request_id': 'r-2',
  })
  t.notMatch(JSON.stringify(exchange), 'sesame')
  t.end()
})

t.test('each kind of header that names a span becomes one attribute, without what else it carries', t => {
  const keysOf = (fields: string): Record<string, unknown> => {
    const [exchange] = converse(
      [http1],
      [client(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`), server(ok)],
    )
    const keys = Object.entries(exchange?.attributes ?? {}).filter(([name]) =>
      name.startsWith('fullspan.key.'),
    )
    return Object.fromEntries(keys)
  }
  t.same(keysOf('X-B3-TraceId: 80f198ee56343ba8\r\nX-B3-SpanId: e457b5a2e4d86bd1\r\nX-B3-Sampled: 1'), {
    'fullspan.key.b3': '80f198ee56343ba8-e457b5a2e4d86bd1-1',
  })
  t.same(keysOf('uber-trace-id: 1f%3A2e%3A0%3A1\r\nuberctx-user: sesame'), {
    'fullspan.key.uber_trace_id': '1f%3A2e%3A0%3A1',
  })
  t.same(
    keysOf(
      'x-datadog-trace-id: 255\r\nx-datadog-parent-id: 16\r\nx-datadog-sampling-priority: 1\r\nx-datadog-tags: _dd.p.usr=sesame,_dd.p.tid=640cfd8d00000000',
    ),
    { 'fullspan.key.datadog': '640cfd8d0000000000000000000000ff:0000000000000010:1' },
  )
  t.same(
    keysOf(
      'X-Amzn-Trace-Id: Self=1-0-0;Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;user=sesame',
    ),
    { 'fullspan.key.xray': 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0' },
  )
  t.same(keysOf('traceparent: garbage\r\nb3: 0\r\nsw8: 1-a\r\nx-datadog-trace-id: 0'), {})
  t.end()
})

t.test('bodies end where their framing says', t => {
  const bodies = {
    chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n',
    empty: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n',
    length: ok,
  }
  for (const body of Object.values(bodies)) {
    const found = converse([http1], [client(get), server(body), client(get), server(ok)])
    t.same(
      found.map(exchange => exchange.response),
      [
        [0, body.length],
        [body.length, ok.length],
      ],
    )
    t.same(
      found.map(exchange => exchange.incomplete),
      [[], []],
    )
  }
  const head = 'HEAD / HTTP/1.1\r\n\r\n'
  const [first, second] = converse(
    [http1],
    [client(head), server('HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n'), client(get), server(ok)],
  )
  t.equal(first?.name, 'HEAD')
  t.equal(second?.name, 'GET')
  t.end()
})

t.test('a body without a length lasts until the connection closes or goes quiet', t => {
  const pieces = [client(get), server('HTTP/1.0 200 OK\r\n\r\nsome'), server('more')]
  for (const options of [{ quiet: true, close: false }, { close: true }]) {
    const [exchange] = converse([http1], pieces, options)
    t.same(exchange?.response, [0, 27])
    t.same(exchange?.incomplete, [])
  }
  t.end()
})

t.test('100 Continue is no response, and pipelined requests get theirs in order', t => {
  const put = 'PUT /big HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n'
  const found = converse(
    [http1],
    [
      client(put),
      server('HTTP/1.1 100 Continue\r\n\r\n'),
      client('data'),
      server('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'),
      client(get + get + get),
      server(ok + 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
      server('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n'),
    ],
  )
  t.same(found.map(statusOf), [201, 200, 404, 500])
  t.same(
    found.map(exchange => exchange.error),
    ['', '', '404  (client)', '500  (both)'],
  )
  t.end()
})

t.test('a pipeline longer than what is kept shifts nothing', t => {
  const found = converse(
    [http1],
    [
      client(get.repeat(300)),
      server(ok.repeat(300)),
      client('HEAD / HTTP/1.1\r\n\r\n'),
      server(ok.slice(0, -5)),
    ],
  )
  t.equal(found.length, 257)
  t.ok(found.every(exchange => exchange.incomplete.length === 0))
  t.equal(found.at(-1)?.name, 'HEAD')
  t.end()
})

t.test('an upgrade or a tunnel ends decoding', t => {
  const upgrade = 'GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'
  t.same(
    converse([http1], [client(upgrade), server(switching), client(get), server(ok)]).map(statusOf),
    [101],
  )
  const connect = 'CONNECT db:3306 HTTP/1.1\r\nHost: db\r\n\r\n'
  t.same(
    converse([http1], [client(connect), server('HTTP/1.1 200 OK\r\n\r\n'), client(get), server(ok)]).map(
      statusOf,
    ),
    [200],
  )
  t.end()
})

t.test('an unknown method is _OTHER', t => {
  const [exchange] = converse([http1], [client('PURGE /x HTTP/1.1\r\n\r\n'), server(ok)])
  t.equal(exchange?.name, 'HTTP')
  t.match(exchange?.attributes, { 'http.request.method': '_OTHER', 'http.request.method_original': 'PURGE' })
  t.end()
})

t.test('bodies need not be captured', t => {
  const big = 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n'
  const found = converse(
    [http1],
    [client(get), server(big, { hole: 60000 }), server('', { hole: 40000 }), client(get), server(ok)],
  )
  t.same(
    found.map(exchange => exchange.response),
    [
      [0, big.length + 100000],
      [big.length + 100000, ok.length],
    ],
  )
  t.same(
    found.map(exchange => exchange.incomplete),
    [[], []],
  )
  t.end()
})

t.test('a hole in a head or in chunk framing ends with the turn', t => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nxx'
  const found = converse(
    [http1],
    [
      client(get, { seen: 40 }),
      server(chunked, { hole: 4000 }),
      client(get),
      server('HTTP/1.1 200 OK\r\nX: y', { hole: 900 }),
      client(get),
      server(ok),
    ],
  )
  t.same(found.map(statusOf), [200, 200, 200])
  t.same(
    found.map(exchange => exchange.incomplete),
    [['truncated'], ['truncated'], []],
  )
  t.equal(found[0]?.attributes[names.urlPath], '/stock/7')
  t.same(found[0]?.response, [0, chunked.length + 4000])
  t.end()
})

t.test('a request that had no answer leaves when the connection closes', t => {
  const [exchange] = converse([http1], [client(get)])
  t.same(exchange?.incomplete, ['no_response'])
  t.end()
})

t.test('joining late finds the next exchange', t => {
  const found = converse(
    [http1],
    [server('tail of a body'), client('rest of a request'), server(ok), client(get), server(ok)],
  )
  t.same(
    found.map(exchange => exchange.request),
    [[17, get.length]],
  )
  t.end()
})

t.test('other line protocols are not HTTP', t => {
  const strangers = [
    'hello',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n',
    'INVITE sip:a@b SIP/2.0\r\n\r\n',
    'EHLO a\r\n',
    '\x16\x03\x01\x02\x00',
    'SSH-2.0-x\r\n',
  ]
  for (const stranger of strangers) t.same(converse([http1], [client(stranger), server('HTTP/2')]), [])
  t.end()
})

const conversationArbitrary = fc.array(
  fc.record({
    request: fc.constantFrom(
      get,
      'POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc',
      'HEAD /h HTTP/1.1\nHost: h\n\n',
    ),
    response: fc.constantFrom(
      'HTTP/1.1 204 No\r\n\r\n',
      'HTTP/1.1 304 Not\r\n\r\n',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n',
    ),
  }),
  { minLength: 1, maxLength: 5 },
)

t.test('any cut of the stream into calls gives the same exchanges', t => {
  fc.assert(
    fc.property(conversationArbitrary, fc.array(fc.nat(200), { maxLength: 30 }), (turns, cuts) => {
      const pieces = turns.flatMap(turn => [client(turn.request), server(turn.response)])
      const whole = converse([http1], pieces)
      const cut = converse([http1], cutPieces(pieces, cuts))
      return whole.length === turns.length && JSON.stringify(cut) === JSON.stringify(whole)
    }),
  )
  t.end()
})

t.test('hostile bytes never throw', t => {
  const piece = fc.record({
    from: fc.constantFrom('client' as const, 'server' as const),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.constantFrom(get, ok), fc.nat(80), fc.nat(255)).map(([text, at, value]) => {
        const bytes = Uint8Array.from(toBytes(text))
        bytes[at % bytes.length] = value
        return bytes
      }),
    ),
    hole: fc.constantFrom(0, 0, 1, 5000),
  })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), pieces => {
      converse([http1], [client(get), server(ok), ...pieces])
      return true
    }),
  )
  t.end()
})
