import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { exchange, openWire, send } from '../harness/http.ts'
import { jsonRequest, newMarker, protobufRequest, traces } from '../harness/messages.ts'
import { join } from '../harness/wire.ts'
import type { Chapter, Sentence } from '../sentence.ts'
import {
  assertFailure,
  assertNotDelivered,
  assertSuccess,
  protobufType,
  type ServerWorld,
  smallBytes,
} from './world.ts'

interface Head {
  readonly line?: string
  readonly headers?: readonly string[]
  readonly host?: string | undefined
}

/** The bytes of a request; the body is not changed. */
function requestBytes(body: Uint8Array, head: Head = {}): Buffer {
  const { line = 'POST /v1/traces HTTP/1.1', headers = [`Content-Length: ${body.length}`] } = head
  const host = 'host' in head ? head.host : 'localhost'
  const lines = [
    line,
    ...(host === undefined ? [] : [`Host: ${host}`]),
    `Content-Type: ${protobufType}`,
    ...headers,
  ]
  return join(`${lines.join('\r\n')}\r\n\r\n`, body)
}

function chunked(body: Uint8Array, sizeBytes: number, extension = ''): Buffer {
  const parts: (Uint8Array | string)[] = []
  for (let at = 0; at < body.length; at += sizeBytes) {
    const piece = body.subarray(at, at + sizeBytes)
    parts.push(`${piece.length.toString(16)}${extension}\r\n`, piece, '\r\n')
  }
  return join(...parts, '0\r\n\r\n')
}

const chunkedHead = { headers: ['Transfer-Encoding: chunked'] }

/** Sends these bytes on a connection of their own: full success, and the span arrives. */
const taken =
  (bytes: (body: Uint8Array) => Uint8Array) =>
  async ({ main, sink }: ServerWorld) => {
    const marker = newMarker()
    assertSuccess(await exchange(main.http, bytes(protobufRequest(traces, marker))))
    await sink.find(marker)
  }

/** These bytes are answered with this status; nothing is delivered. */
const answered =
  (status: number, bytes: (body: Uint8Array) => Uint8Array, encoding: 'protobuf' | 'json' = 'protobuf') =>
  async (world: ServerWorld) => {
    const marker = newMarker()
    const reply = await exchange(world.main.http, bytes(protobufRequest(traces, marker)))
    assertFailure(reply, status, encoding)
    await assertNotDelivered(world, marker)
  }

/** Writes a part of a request and hangs up: no part of it is delivered. */
const abandoned =
  (bytes: (body: Uint8Array) => Uint8Array, isReset: boolean) => async (world: ServerWorld) => {
    const marker = newMarker()
    const wire = openWire(world.main.http)
    wire.write(bytes(protobufRequest(traces, marker)))
    await sleep(30)
    if (isReset) wire.socket.resetAndDestroy()
    else wire.socket.end()
    await sleep(30)
    await assertNotDelivered(world, marker)
    wire.close()
  }

const methodSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'rfc9110-405-allow',
    level: 'MUST',
    says: 'A method other than POST is 405 with an Allow that names POST (§15.5.6).',
    checks: Object.fromEntries(
      ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'].map(method => [
        method,
        async ({ main }: ServerWorld) => {
          const reply = await exchange(
            main.http,
            requestBytes(Buffer.alloc(0), {
              line: `${method} /v1/traces HTTP/1.1`,
              headers: ['Content-Length: 0'],
            }),
          )
          assertFailure(reply, 405)
          assert.equal(reply.headers['allow'], 'POST')
        },
      ]),
    ),
  },
  {
    id: 'rfc9110-method-case',
    level: 'MUST',
    says: 'Methods are case-sensitive: post is not POST (§9.1).',
    checks: {
      post: async ({ main }) => {
        const reply = await exchange(
          main.http,
          requestBytes(Buffer.alloc(0), { line: 'post /v1/traces HTTP/1.1', headers: ['Content-Length: 0'] }),
        )
        assert.ok([400, 405, 501].includes(reply.status))
        assertFailure(reply, reply.status)
      },
    },
  },
  {
    id: 'rfc9110-head',
    level: 'MUST',
    says: 'HEAD is answered without a body (§9.3.2).',
    checks: {
      'HEAD, then another request on the same connection': async ({ main }) => {
        const wire = openWire(main.http)
        wire.write(requestBytes(Buffer.alloc(0), { line: 'HEAD /v1/traces HTTP/1.1', headers: [] }))
        wire.write(requestBytes(protobufRequest(traces, newMarker())))
        assert.equal((await wire.response({ isHead: true })).status, 405)
        assertSuccess(await wire.response())
        wire.close()
      },
    },
  },
  {
    id: 'rfc9112-connect',
    level: 'MUST',
    says: 'CONNECT opens no tunnel here.',
    checks: {
      CONNECT: async ({ main }) => {
        const reply = await exchange(
          main.http,
          requestBytes(Buffer.alloc(0), { line: 'CONNECT localhost:1 HTTP/1.1', headers: [] }),
        )
        assertFailure(reply, 405)
      },
    },
  },
]

const targetSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'rfc9110-404',
    level: 'MUST',
    says: 'What is not offered is 404 (§15.5.5).',
    checks: Object.fromEntries(
      [
        '/',
        '/v1/traces/',
        '/v1',
        '/v1/trace',
        '/V1/TRACES',
        '//v1/traces',
        '/v1/traces/x',
        '/v1/%2Ftraces',
        '*',
      ].map(path => [path, answered(404, body => requestBytes(body, { line: `POST ${path} HTTP/1.1` }))]),
    ),
  },
  {
    id: 'rfc9112-absolute-form',
    level: 'MUST',
    says: 'A target may be written with scheme and host (RFC 9112 §3.2.2).',
    checks: {
      'http://host/v1/traces': taken(body =>
        requestBytes(body, { line: 'POST http://localhost/v1/traces HTTP/1.1' }),
      ),
      'HTTP://HOST:80/v1/traces?x=y': taken(body =>
        requestBytes(body, { line: 'POST HTTP://LOCALHOST:80/v1/traces?x=y HTTP/1.1' }),
      ),
    },
  },
  {
    id: 'rfc3986-target',
    level: 'SHOULD',
    says: 'A query is no part of the path, and escapes of plain letters mean the letters (RFC 3986 §6.2.2).',
    checks: {
      'a query': taken(body => requestBytes(body, { line: 'POST /v1/traces?token=/x HTTP/1.1' })),
      'an empty query': taken(body => requestBytes(body, { line: 'POST /v1/traces? HTTP/1.1' })),
      '%74races': taken(body => requestBytes(body, { line: 'POST /v1/%74races HTTP/1.1' })),
    },
  },
  {
    id: 'rfc9112-host',
    level: 'MUST',
    says: 'An HTTP/1.1 request without Host, or with two, is 400 (RFC 9112 §3.2).',
    checks: {
      none: answered(400, body => requestBytes(body, { host: undefined })),
      two: answered(400, body =>
        requestBytes(body, { headers: ['Host: other', `Content-Length: ${body.length}`] }),
      ),
    },
  },
]

const messageSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'rfc9112-chunked',
    level: 'MUST',
    says: 'Chunked bodies are understood (RFC 9112 §7.1).',
    checks: {
      'one chunk': taken(body => join(requestBytes(chunked(body, 1 << 20), chunkedHead))),
      'a byte a chunk': taken(body => requestBytes(chunked(body, 1), chunkedHead)),
      'with extensions': taken(body => requestBytes(chunked(body, 50, ';a=b;c="d"'), chunkedHead)),
      'with a trailer': taken(body =>
        requestBytes(join(chunked(body, 50).subarray(0, -2), 'X-Checksum: 1\r\n\r\n'), chunkedHead),
      ),
      'Chunked in another case': taken(body =>
        requestBytes(chunked(body, 50), { headers: ['transfer-encoding: Chunked'] }),
      ),
    },
  },
  {
    id: 'rfc9112-framing-faults',
    level: 'MUST',
    says: 'A request whose end cannot be known is refused, and its connection ended (RFC 9112 §6.3).',
    checks: {
      'Content-Length beside Transfer-Encoding': answered(400, body =>
        requestBytes(chunked(body, 50), { headers: ['Transfer-Encoding: chunked', 'Content-Length: 4'] }),
      ),
      'two lengths': answered(400, body =>
        requestBytes(body, {
          headers: [`Content-Length: ${body.length}`, `Content-Length: ${body.length + 1}`],
        }),
      ),
      'a negative length': answered(400, body => requestBytes(body, { headers: ['Content-Length: -1'] })),
      'a length of letters': answered(400, body => requestBytes(body, { headers: ['Content-Length: 1x'] })),
      'an unknown transfer coding': answered(400, body =>
        requestBytes(chunked(body, 50), { headers: ['Transfer-Encoding: gzip'] }),
      ),
      'a chunk size that is none': answered(400, body =>
        requestBytes(join('zz\r\n', body, '\r\n0\r\n\r\n'), chunkedHead),
      ),
      'a chunk longer than its size': answered(400, body =>
        requestBytes(join('4\r\n', body, '\r\n0\r\n\r\n'), chunkedHead),
      ),
    },
  },
  {
    id: 'rfc9112-incomplete',
    level: 'MUST',
    says: 'A body that does not come to its end is not delivered (RFC 9112 §8).',
    checks: {
      'fewer bytes than the length says, then the end': abandoned(
        body => requestBytes(body, { headers: [`Content-Length: ${body.length + 1}`] }),
        false,
      ),
      'fewer bytes than the length says, then a reset': abandoned(
        body => requestBytes(body, { headers: [`Content-Length: ${body.length + 1}`] }),
        true,
      ),
      'chunks without the last one': abandoned(
        body => requestBytes(chunked(body, 50).subarray(0, -5), chunkedHead),
        false,
      ),
      'half of a body': abandoned(
        body =>
          requestBytes(body.subarray(0, body.length >> 1), { headers: [`Content-Length: ${body.length}`] }),
        true,
      ),
    },
  },
  {
    id: 'rfc9112-parse-faults',
    level: 'SHOULD',
    says: 'What is no HTTP is 400, a head that is too large 431, each with a Status.',
    checks: {
      'no request line': answered(400, () => Buffer.from('hello there\r\n\r\n'), 'json'),
      'random bytes': answered(400, () => Buffer.from([0, 255, 1, 254, 13, 10, 13, 10]), 'json'),
      'a version that is none': answered(400, body =>
        requestBytes(body, { line: 'POST /v1/traces HTTP/9.x' }),
      ),
      'a space in a header name': answered(400, body => requestBytes(body, { headers: ['A b: c'] })),
      'a header of 100 kB': answered(431, body =>
        requestBytes(body, { headers: [`X-Long: ${'x'.repeat(100_000)}`] }),
      ),
    },
  },
  {
    id: 'rfc9112-slowly',
    level: 'MUST',
    says: 'A request may come in any pieces.',
    checks: {
      'byte by byte': async ({ main, sink }) => {
        const marker = newMarker()
        const wire = openWire(main.http)
        wire.socket.setNoDelay(true)
        for (const byte of requestBytes(protobufRequest(traces, marker))) {
          wire.write(Uint8Array.of(byte))
          await new Promise(setImmediate)
        }
        assertSuccess(await wire.response())
        await sink.find(marker)
        wire.close()
      },
    },
  },
]

const connectionSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'rfc9112-persistent',
    level: 'SHOULD',
    says: 'Connections are kept between requests, and ended where the client says so (RFC 9112 §9.3).',
    checks: {
      'five requests on one': async ({ main }) => {
        const wire = openWire(main.http)
        for (let round = 0; round < 5; round++) {
          wire.write(requestBytes(protobufRequest(traces, newMarker())))
          assertSuccess(await wire.response())
        }
        wire.close()
      },
      'also after refusals': async ({ main }) => {
        const wire = openWire(main.http)
        for (let round = 0; round < 3; round++) {
          wire.write(requestBytes(Buffer.from([1])))
          assertFailure(await wire.response(), 400)
          wire.write(requestBytes(protobufRequest(traces, newMarker())))
          assertSuccess(await wire.response())
        }
        wire.close()
      },
      'Connection: close': async ({ main }) => {
        const wire = openWire(main.http)
        const body = protobufRequest(traces, newMarker())
        wire.write(requestBytes(body, { headers: ['Connection: close', `Content-Length: ${body.length}`] }))
        assertSuccess(await wire.response())
        await wire.ended()
      },
    },
  },
  {
    id: 'rfc9112-pipelining',
    level: 'MUST',
    says: 'Requests that come before the answers to earlier ones are answered in order (RFC 9112 §9.3.2).',
    checks: {
      'good, bad, good, in one write': async ({ main }) => {
        const wire = openWire(main.http)
        const good = requestBytes(protobufRequest(traces, newMarker()))
        wire.write(join(good, requestBytes(Buffer.from([1])), good, good))
        const statuses: number[] = []
        for (let round = 0; round < 4; round++) statuses.push((await wire.response()).status)
        assert.deepEqual(statuses, [200, 400, 200, 200])
        wire.close()
      },
    },
  },
  {
    id: 'rfc9112-http-1.0',
    level: 'SHOULD',
    says: 'HTTP/1.0 is understood, also without Host; its connection ends after the answer.',
    checks: {
      'without keep-alive': async ({ main, sink }) => {
        const marker = newMarker()
        const wire = openWire(main.http)
        wire.write(
          requestBytes(protobufRequest(traces, marker), {
            line: 'POST /v1/traces HTTP/1.0',
            host: undefined,
          }),
        )
        assertSuccess(await wire.response())
        await wire.ended()
        await sink.find(marker)
      },
    },
  },
  {
    id: 'rfc9110-expect-continue',
    level: 'MUST',
    says: 'Expect: 100-continue gets 100, or the final answer at once (§10.1.1).',
    checks: {
      'a body that is wanted': async ({ main, sink }) => {
        const marker = newMarker()
        const body = protobufRequest(traces, marker)
        const wire = openWire(main.http)
        const head = requestBytes(body, {
          headers: ['Expect: 100-continue', `Content-Length: ${body.length}`],
        })
        wire.write(head.subarray(0, -body.length))
        assert.equal((await wire.response()).status, 100)
        wire.write(body)
        assertSuccess(await wire.response())
        await sink.find(marker)
        wire.close()
      },
      'a body that is too large is not asked for': async ({ small }) => {
        const head = requestBytes(Buffer.alloc(0), {
          headers: ['Expect: 100-continue', `Content-Length: ${smallBytes + 1}`],
        })
        assertFailure(await exchange(small.http, head), 413)
      },
      'a path that is not there': async ({ main }) => {
        const head = requestBytes(Buffer.alloc(0), {
          line: 'POST /nothing HTTP/1.1',
          headers: ['Expect: 100-continue', 'Content-Length: 5'],
        })
        assertFailure(await exchange(main.http, head), 404)
      },
    },
  },
  {
    id: 'rfc9110-expect-unknown',
    level: 'MAY',
    says: 'Another expectation is 417 (§15.5.18).',
    checks: {
      'Expect: 200-maybe': answered(417, body =>
        requestBytes(body, { headers: ['Expect: 200-maybe', `Content-Length: ${body.length}`] }),
      ),
    },
  },
  {
    id: 'rfc9110-upgrade',
    level: 'MAY',
    says: 'An Upgrade that is not known is ignored (§7.8).',
    checks: {
      websocket: taken(body =>
        requestBytes(body, {
          headers: ['Connection: Upgrade', 'Upgrade: websocket', `Content-Length: ${body.length}`],
        }),
      ),
      h2c: taken(body =>
        requestBytes(body, {
          headers: [
            'Connection: Upgrade, HTTP2-Settings',
            'Upgrade: h2c',
            'HTTP2-Settings: AAMAAABk',
            `Content-Length: ${body.length}`,
          ],
        }),
      ),
    },
  },
  {
    id: 'rfc9110-headers',
    level: 'MUST',
    says: 'Names of headers mean the same in any case; unknown headers change nothing (§5.1).',
    checks: {
      'CONTENT-TYPE, x-anything': async ({ main }) => {
        const reply = await send(main.http, {
          path: '/v1/traces',
          headers: { 'CONTENT-TYPE': 'application/json', 'X-Anything': 'ü', authorization: 'Basic dTpw' },
          body: jsonRequest(traces, newMarker()),
        })
        assertSuccess(reply, 'json')
      },
    },
  },
]

export const httpRuleChapters: readonly Chapter<ServerWorld>[] = [
  { source: 'RFC 9110, methods', sentences: methodSentences },
  { source: 'RFC 9110 and 9112, targets', sentences: targetSentences },
  { source: 'RFC 9112, messages', sentences: messageSentences },
  { source: 'RFC 9110 and 9112, connections and expectations', sentences: connectionSentences },
]
