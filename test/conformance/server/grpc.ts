import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { decodeWith } from '../../helpers/otlp-oracle.ts'
import { call, type CallReply, frame, openSession } from '../harness/grpc.ts'
import { split } from '../harness/http.ts'
import {
  idsOf,
  newMarker,
  protobufRequest,
  type SignalInfo,
  signals,
  traces,
  metrics,
} from '../harness/messages.ts'
import { field, join } from '../harness/wire.ts'
import type { Chapter, Sentence } from '../sentence.ts'
import {
  assertCode,
  assertNotDelivered,
  assertOk,
  callGrpc,
  type Server,
  type ServerWorld,
  smallBytes,
} from './world.ts'

const code = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
}

type Check = (world: ServerWorld) => Promise<void>

const forSignals = (check: (signal: SignalInfo) => Check) =>
  Object.fromEntries(signals.map(signal => [signal.name, check(signal)]))

/** A message of one span and a field that nobody knows, of this many bytes. */
function messageOfSize(sizeBytes: number, marker = newMarker()): Uint8Array {
  const whole = protobufRequest(traces, marker)
  for (let filler = sizeBytes - whole.length - 10; ; filler++) {
    const padded = join(whole, field(1999, Buffer.alloc(filler, 'x')))
    if (padded.length === sizeBytes) return padded
  }
}

const typeUrlOf = ({ details }: CallReply) =>
  details?.details?.map(detail => ('typeUrl' in detail ? detail.typeUrl : '')) ?? []

const tooLarge =
  (message: (marker: string) => Uint8Array, headers: OutgoingHttpHeaders = {}, flag = 0): Check =>
  async world => {
    const marker = newMarker()
    const reply = await callGrpc(world.small, traces, message(marker), { flag, headers })
    assertCode(reply, code.resourceExhausted)
    assert.ok(!typeUrlOf(reply).some(url => url.endsWith('RetryInfo')), 'nothing that invites to try again')
    await assertNotDelivered(world, marker)
  }

const requestSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'grpc-limit',
    level: 'MUST',
    says: 'A message beyond the limit, as sent or inflated, is RESOURCE_EXHAUSTED without RetryInfo.',
    checks: {
      'one byte too large': tooLarge(marker => messageOfSize(smallBytes + 1, marker)),
      'one byte too large inflated': tooLarge(
        marker => gzipSync(messageOfSize(smallBytes + 1, marker)),
        { 'grpc-encoding': 'gzip' },
        1,
      ),
      'a thousandfold by gzip': tooLarge(
        () => gzipSync(Buffer.alloc(100 * smallBytes)),
        { 'grpc-encoding': 'gzip' },
        1,
      ),
      'a prefix that announces 4 GiB': async ({ small }) => {
        const reply = await call(small.session, {
          path: traces.grpcPath,
          data: [Buffer.from([0, 255, 255, 255, 255, 1])],
        })
        assertCode(reply, code.resourceExhausted)
      },
      'a prefix that announces 4 GiB, and no end': async ({ small }) => {
        const data = [Buffer.from([0, 255, 255, 255, 255, 1])]
        assertCode(
          await call(small.session, { path: traces.grpcPath, data, ends: false }),
          code.resourceExhausted,
        )
      },
      'exactly the limit is taken': async ({ small, sink }) => {
        const marker = newMarker()
        assertOk(await callGrpc(small, traces, messageOfSize(smallBytes, marker)))
        await sink.find(marker)
      },
      'exactly the limit is taken, inflated': async ({ small, sink }) => {
        const marker = newMarker()
        const message = gzipSync(messageOfSize(smallBytes, marker))
        assertOk(await callGrpc(small, traces, message, { flag: 1, headers: { 'grpc-encoding': 'gzip' } }))
        await sink.find(marker)
      },
      'other calls on the connection go on': async ({ small }) => {
        const large = messageOfSize(2 * smallBytes)
        const replies = await Promise.all(
          [large, protobufRequest(traces, newMarker()), large, protobufRequest(traces, newMarker())].map(
            message => callGrpc(small, traces, message),
          ),
        )
        assert.deepEqual(
          replies.map(reply => reply.code),
          [code.resourceExhausted, 0, code.resourceExhausted, 0],
        )
      },
    },
  },
  {
    id: 'grpc-limit-64-mib',
    level: 'SHOULD',
    says: 'The limit is 64 MiB where nothing else is set.',
    checks: {
      '64 MiB are taken': async ({ main }) =>
        assertOk(await callGrpc(main, traces, field(1999, Buffer.alloc(64 * 1024 * 1024 - 7)))),
      'one more byte is not': async ({ main }) => {
        const data = [frame(Buffer.alloc(64 * 1024 * 1024 + 1)).subarray(0, 1000)]
        assertCode(
          await call(main.session, { path: traces.grpcPath, data, ends: false }),
          code.resourceExhausted,
        )
      },
    },
  },
  {
    id: 'grpc-limit-configurable',
    level: 'SHOULD',
    says: 'The limit can be configured.',
    checks: {
      max_recv_msg_size_mib: async ({ main, small }) => {
        const message = field(1999, Buffer.alloc(2 * smallBytes))
        assertOk(await callGrpc(main, traces, message))
        assertCode(await callGrpc(small, traces, message), code.resourceExhausted)
      },
    },
  },
  {
    id: 'grpc-concurrent',
    level: 'SHOULD',
    says: 'Calls on one connection do not wait for one another.',
    checks: {
      'two hundred at once': async ({ main }) => {
        const calls = Array.from({ length: 200 }, () =>
          callGrpc(main, traces, protobufRequest(traces, newMarker())),
        )
        for (const reply of await Promise.all(calls)) assertOk(reply)
      },
      'one that does not end holds up no other': async ({ main }) => {
        const open = main.session.request({
          ':method': 'POST',
          ':path': traces.grpcPath,
          'content-type': 'application/grpc',
        })
        open.on('error', () => undefined)
        open.write(Buffer.from([0, 0, 0, 1, 0]))
        for (let round = 0; round < 3; round++) {
          assertOk(await callGrpc(main, traces, protobufRequest(traces, newMarker())))
        }
        open.close()
      },
    },
  },
]

const responseSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'grpc-success',
    level: 'MUST',
    says: 'Success is OK with the response message of the signal, partial_success unset.',
    checks: forSignals(signal => async ({ main, sink }) => {
      const marker = newMarker()
      assertOk(await callGrpc(main, signal, protobufRequest(signal, marker)))
      await sink.find(marker)
    }),
  },
  {
    id: 'grpc-empty-request',
    level: 'SHOULD',
    says: 'A request that carries no telemetry is a success.',
    checks: {
      ...forSignals(
        signal =>
          async ({ main }) =>
            assertOk(await callGrpc(main, signal, Buffer.alloc(0))),
      ),
      'a resource alone': async world => {
        const marker = newMarker()
        assertOk(await callGrpc(world.main, traces, field(1, field(3, marker))))
        await assertNotDelivered(world, marker)
      },
    },
  },
  {
    id: 'grpc-partial-success',
    level: 'MUST',
    says: 'Where only some items can be taken the answer is OK with their number in partial_success; the others are delivered.',
    checks: {
      'spans with ids of another length': async ({ main, sink }) => {
        const marker = newMarker()
        const ids = join(
          field(1, Buffer.from(idsOf(1).traceId, 'hex')),
          field(2, Buffer.from(idsOf(1).spanId, 'hex')),
        )
        const spans = [join(ids, field(5, marker)), field(1, 'short'), join(ids, field(4, 'x'))]
        const reply = await callGrpc(main, traces, field(1, field(2, ...spans.map(span => field(2, span)))))
        assert.equal(reply.code, 0)
        const { partialSuccess } = decodeWith('ExportTraceServiceResponse', reply.body.subarray(5)) as {
          partialSuccess?: { rejectedSpans?: string; errorMessage?: string }
        }
        assert.equal(partialSuccess?.rejectedSpans, '2')
        assert.match(partialSuccess.errorMessage ?? '', /\w+ \w+/)
        await sink.find(marker)
      },
    },
  },
  {
    id: 'grpc-bad-data',
    level: 'SHOULD',
    says: 'Data that cannot be decoded is INVALID_ARGUMENT with a BadRequest among the details.',
    checks: forSignals(signal => async ({ main }) => {
      const reply = await callGrpc(main, signal, protobufRequest(signal, 'cut off').subarray(0, -3))
      assertCode(reply, code.invalidArgument)
      assert.deepEqual(typeUrlOf(reply), ['type.googleapis.com/google.rpc.BadRequest'])
    }),
  },
  {
    id: 'grpc-overload',
    level: 'SHOULD',
    says: 'A server that cannot take more answers UNAVAILABLE, with RetryInfo.',
    checks: forSignals(signal => async ({ full }) => {
      const reply = await callGrpc(full, signal, protobufRequest(signal, newMarker()))
      assertCode(reply, code.unavailable)
      assert.deepEqual(typeUrlOf(reply), ['type.googleapis.com/google.rpc.RetryInfo'])
      const value = reply.details?.details?.[0]?.value ?? ''
      const { retryDelay } = decodeWith('RetryInfo', Buffer.from(value.slice(4), 'hex')) as {
        retryDelay: { seconds?: string; nanos?: number }
      }
      assert.ok(Number(retryDelay.seconds ?? 0) > 0 || (retryDelay.nanos ?? 0) > 0)
    }),
  },
]

/** A call whose headers are changed. */
const withHeaders =
  (headers: OutgoingHttpHeaders) =>
  async ({ main, sink }: ServerWorld) => {
    const marker = newMarker()
    assertOk(await callGrpc(main, traces, protobufRequest(traces, marker), { headers }))
    await sink.find(marker)
  }

const unimplemented =
  (path: string) =>
  async ({ main }: ServerWorld) => {
    const reply = await call(main.session, { path, data: [frame(Buffer.alloc(0))] })
    assertCode(reply, code.unimplemented)
    assert.equal(reply.httpStatus, 200)
  }

/** Other DATA than one message. */
const framed =
  (expected: number, data: (message: Uint8Array) => readonly Uint8Array[]) => async (world: ServerWorld) => {
    const marker = newMarker()
    const message = protobufRequest(traces, marker)
    assertCode(await call(world.main.session, { path: traces.grpcPath, data: data(message) }), expected)
    await assertNotDelivered(world, marker)
  }

const taken =
  (data: (message: Uint8Array) => readonly Uint8Array[], pauseMs = 0) =>
  async ({ main, sink }: ServerWorld) => {
    const marker = newMarker()
    assertOk(
      await call(main.session, {
        path: traces.grpcPath,
        data: data(protobufRequest(traces, marker)),
        pauseMs,
      }),
    )
    await sink.find(marker)
  }

function pieces(bytes: Uint8Array, sizeBytes: number): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += sizeBytes) parts.push(bytes.subarray(at, at + sizeBytes))
  return parts
}

const httpSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'grpc-content-type',
    level: 'SHOULD',
    says: 'A Content-Type that does not begin with application/grpc is HTTP 415.',
    checks: Object.fromEntries(
      [
        'application/json',
        'application/x-protobuf',
        'text/plain',
        'application/grpcx',
        'application/grpc-web',
      ].map(type => [
        type,
        async ({ main }: ServerWorld) => {
          const headers = { 'content-type': type }
          assert.equal((await callGrpc(main, traces, Buffer.alloc(0), { headers })).httpStatus, 415)
        },
      ]),
    ),
  },
  {
    id: 'grpc-content-type-forms',
    level: 'MUST',
    says: 'The message format may be named in the Content-Type.',
    checks: {
      'application/grpc+proto': withHeaders({ 'content-type': 'application/grpc+proto' }),
      'application/grpc;charset=utf-8': withHeaders({ 'content-type': 'application/grpc;charset=utf-8' }),
      'Application/gRPC': withHeaders({ 'content-type': 'Application/gRPC' }),
      'application/grpc+json is not served': async ({ main }) => {
        const headers = { 'content-type': 'application/grpc+json' }
        const reply = await callGrpc(main, traces, Buffer.from('{}'), { headers })
        assert.ok(reply.httpStatus === 415 || reply.code === code.unimplemented)
      },
    },
  },
  {
    id: 'grpc-method',
    level: 'MUST',
    says: 'Calls are POST; anything else is refused by HTTP.',
    checks: {
      GET: async ({ main }) =>
        assert.equal(
          (await call(main.session, { path: traces.grpcPath, headers: { ':method': 'GET' } })).httpStatus,
          405,
        ),
      PUT: async ({ main }) => {
        const data = [frame(Buffer.alloc(0))]
        const reply = await call(main.session, { path: traces.grpcPath, headers: { ':method': 'PUT' }, data })
        assert.equal(reply.httpStatus, 405)
      },
    },
  },
  {
    id: 'grpc-unimplemented',
    level: 'MUST',
    says: 'An unknown service or method is UNIMPLEMENTED, by gRPC and not by HTTP.',
    checks: {
      'an unknown method': unimplemented('/opentelemetry.proto.collector.trace.v1.TraceService/Import'),
      'an unknown service': unimplemented('/opentelemetry.proto.collector.trace.v2.TraceService/Export'),
      'the path of HTTP': unimplemented('/v1/traces'),
      'the root': unimplemented('/'),
      'another case': unimplemented('/opentelemetry.proto.collector.trace.v1.traceservice/export'),
      'a slash at the end': unimplemented(`${traces.grpcPath}/`),
      'a health check': unimplemented('/grpc.health.v1.Health/Check'),
      'a signal that no pipeline takes': async ({ few }) =>
        assertCode(await callGrpc(few, metrics, Buffer.alloc(0)), code.unimplemented),
    },
  },
  {
    id: 'grpc-metadata',
    level: 'MUST',
    says: 'Metadata that mean nothing here change nothing.',
    checks: {
      'text, binary, twice': withHeaders({
        'x-tenant': ['a', 'b'],
        'trace-proto-bin': 'CgsKBAoA',
        authorization: 'Bearer x',
        'grpc-trace-bin': 'AAAA',
        'grpc-tags-bin': 'AA==',
      }),
      'without te': async ({ main }) => {
        const stream = main.session.request({
          ':method': 'POST',
          ':path': traces.grpcPath,
          'content-type': 'application/grpc',
        })
        stream.end(frame(protobufRequest(traces, newMarker())))
        const [trailers] = (await once(stream, 'trailers')) as [Record<string, string>]
        assert.equal(trailers['grpc-status'], '0')
      },
      'a user agent': withHeaders({ 'user-agent': 'grpc-c++/1.60 (linux; chttp2)' }),
      'an authority that is not ours': withHeaders({ ':authority': 'collector.example:443' }),
    },
  },
  {
    id: 'grpc-message-framing',
    level: 'MUST',
    says: 'A message comes in DATA frames split anywhere.',
    checks: {
      'byte by byte': taken(message => pieces(frame(message), 1)),
      'the prefix apart': taken(message => [frame(message).subarray(0, 5), message]),
      'the prefix in two parts, with pauses': taken(
        message => [frame(message).subarray(0, 2), frame(message).subarray(2)],
        10,
      ),
      'empty frames between': taken(message => [
        Buffer.alloc(0),
        frame(message).subarray(0, 7),
        Buffer.alloc(0),
        frame(message).subarray(7),
        Buffer.alloc(0),
      ]),
    },
  },
  {
    id: 'grpc-unary-cardinality',
    level: 'MUST',
    says: 'A unary call has exactly one message; none and two are UNIMPLEMENTED (statuscodes.md).',
    checks: {
      none: framed(code.unimplemented, () => []),
      two: framed(code.unimplemented, message => [frame(message), frame(message)]),
      'two in one write': framed(code.unimplemented, message => [join(frame(message), frame(message))]),
    },
  },
  {
    id: 'grpc-message-faults',
    level: 'MUST',
    says: 'Half a message and an unknown flag are INTERNAL, and not delivered.',
    checks: {
      'a message that is cut off': framed(code.internal, message => [frame(message).subarray(0, -1)]),
      'a prefix that is cut off': framed(code.internal, () => [Buffer.from([0, 0, 0])]),
      'a flag of 2': framed(code.internal, message => [frame(message, 2)]),
      'a flag of 255': framed(code.internal, message => [frame(message, 255)]),
    },
  },
  {
    id: 'grpc-timeout',
    level: 'MUST',
    says: 'grpc-timeout is a number of at most eight digits with a unit, from hours to nanoseconds.',
    checks: {
      ...Object.fromEntries(
        ['1H', '10M', '100S', '10000m', '99999999u', '99999999n', '99999999H', '00000010S'].map(timeout => [
          timeout,
          withHeaders({ 'grpc-timeout': timeout }),
        ]),
      ),
      'one that has passed is DEADLINE_EXCEEDED': async ({ main }) => {
        const data = [Buffer.from([0, 0, 0])]
        const reply = await call(main.session, {
          path: traces.grpcPath,
          headers: { 'grpc-timeout': '50m' },
          data,
          ends: false,
        })
        assertCode(reply, code.deadlineExceeded)
      },
      'what is none fails': async ({ main }) => {
        for (const timeout of ['1', 'S', '1s', '-1S', '123456789S', '1.5S', '1 S', '']) {
          const reply = await callGrpc(main, traces, Buffer.alloc(0), {
            headers: { 'grpc-timeout': timeout },
          })
          assert.ok([code.internal, code.invalidArgument].includes(reply.code), `${timeout}: ${reply.code}`)
        }
      },
    },
  },
  {
    id: 'grpc-response-headers',
    level: 'MUST',
    says: 'An answer is HTTP 200 of application/grpc; grpc-status stands in trailers, or in headers that end the stream.',
    checks: {
      'OK, in trailers': async ({ main }) => {
        const reply = await callGrpc(main, traces, Buffer.alloc(0))
        assert.equal(reply.headers['content-type'], 'application/grpc')
        assert.equal(reply.headers['grpc-status'], undefined)
        assert.equal(reply.trailers?.['grpc-status'], '0')
      },
      'a failure, in trailers only': async ({ main }) => {
        const reply = await callGrpc(main, traces, Buffer.from([1]))
        assert.equal(reply.httpStatus, 200)
        assert.equal(reply.headers['content-type'], 'application/grpc')
        assert.equal(reply.headers['grpc-status'] ?? reply.trailers?.['grpc-status'], '3')
        assert.equal(reply.body.length, 0)
      },
      'grpc-accept-encoding': async ({ main }) => {
        const reply = await callGrpc(main, traces, Buffer.alloc(0))
        assert.match(String(reply.headers['grpc-accept-encoding']), /gzip/)
      },
    },
  },
  {
    id: 'grpc-percent-encoding',
    level: 'MUST',
    says: 'grpc-message is ASCII; everything else of its UTF-8, and the percent sign, is percent-encoded.',
    checks: {
      'an unknown method with a percent sign and a letter beyond ASCII': async ({ main }) => {
        const reply = await call(main.session, { path: '/x%zzü/Y', data: [frame(Buffer.alloc(0))] })
        const raw = String(reply.headers['grpc-message'] ?? reply.trailers?.['grpc-message'])
        assert.match(raw, /^[\u0020-\u007e]+$/)
        assert.doesNotMatch(raw, /%(?![\dA-F]{2})/)
        assert.equal(reply.code, code.unimplemented)
      },
    },
  },
  {
    id: 'grpc-status-details',
    level: 'MUST',
    says: 'grpc-status-details-bin is base64 of a Status with the code and message of the call.',
    checks: {
      INVALID_ARGUMENT: async ({ main }) => {
        const reply = await callGrpc(main, traces, Buffer.from([1]))
        assert.equal(reply.details?.code, reply.code)
        assert.equal(reply.details.message, reply.message)
      },
      UNAVAILABLE: async ({ full }) => {
        const reply = await callGrpc(full, traces, protobufRequest(traces, newMarker()))
        assert.equal(reply.details?.code, reply.code)
        assert.equal(reply.details.message, reply.message)
      },
    },
  },
  {
    id: 'grpc-message-size',
    level: 'SHOULD',
    says: 'A status is short enough for the headers that clients accept.',
    checks: {
      'an unknown method of 30,000 letters': async ({ main }) => {
        const reply = await call(main.session, {
          path: `/${'x'.repeat(30_000)}`,
          data: [frame(Buffer.alloc(0))],
        })
        assertCode(reply, code.unimplemented)
        assert.ok(reply.message.length < 2000, String(reply.message.length))
      },
    },
  },
]

const session =
  (check: (server: Server, world: ServerWorld) => Promise<void>): Check =>
  world =>
    check(world.main, world)

const connectionSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http2-ping',
    level: 'MUST',
    says: 'A PING is answered with its own payload (RFC 9113 §6.7).',
    checks: {
      'ten of them': session(async ({ session: own }) => {
        for (let round = 0; round < 10; round++) {
          const payload = Buffer.alloc(8, round)
          const echoed = await new Promise<Buffer>((resolve, reject) => {
            own.ping(payload, (error, _duration, echo) => (error ? reject(error) : resolve(echo)))
          })
          assert.deepEqual(echoed, payload)
        }
      }),
    },
  },
  {
    id: 'http2-flow-control',
    level: 'MUST',
    says: 'Windows are kept to, and opened again (RFC 9113 §5.2).',
    checks: {
      'a client whose window holds one byte': async ({ main }) => {
        const own = await openSession(main.grpc, { settings: { initialWindowSize: 1 } })
        assertOk(
          await call(own, { path: traces.grpcPath, data: [frame(protobufRequest(traces, newMarker()))] }),
        )
        own.destroy()
      },
      'twenty messages of 3 MiB at once': async ({ main }) => {
        const message = field(1999, Buffer.alloc(3 * smallBytes))
        const calls = Array.from({ length: 20 }, () => callGrpc(main, traces, message))
        for (const reply of await Promise.all(calls)) assertOk(reply)
      },
    },
  },
  {
    id: 'http2-cancel',
    level: 'MUST',
    says: 'A call that its client resets is over, and its half message not delivered.',
    checks: {
      'reset in the middle': async world => {
        const marker = newMarker()
        const bytes = frame(protobufRequest(traces, marker))
        const stream = world.main.session.request({
          ':method': 'POST',
          ':path': traces.grpcPath,
          'content-type': 'application/grpc',
        })
        stream.on('error', () => undefined)
        stream.write(bytes.subarray(0, -1))
        await new Promise(resolve => setTimeout(resolve, 20))
        stream.close(8)
        await once(stream, 'close')
        await assertNotDelivered(world, marker)
      },
      'the connection breaks in the middle': async world => {
        const marker = newMarker()
        const own = await openSession(world.main.grpc)
        const stream = own.request({
          ':method': 'POST',
          ':path': traces.grpcPath,
          'content-type': 'application/grpc',
        })
        stream.on('error', () => undefined)
        stream.write(frame(protobufRequest(traces, marker)).subarray(0, -1))
        await new Promise(resolve => setTimeout(resolve, 20))
        own.destroy()
        await assertNotDelivered(world, marker)
      },
    },
  },
  {
    id: 'http2-preface',
    level: 'MUST',
    says: 'A connection that does not begin with the preface of HTTP/2 is ended (RFC 9113 §3.4).',
    checks: {
      'HTTP/1.1 and random bytes': async ({ main }) => {
        for (const bytes of [
          `POST ${traces.grpcPath} HTTP/1.1\r\nHost: x\r\n\r\n`,
          Buffer.alloc(100, 0xff),
        ]) {
          const socket = connect(split(main.grpc))
          socket.on('error', () => undefined)
          socket.resume()
          socket.write(bytes)
          await once(socket, 'close')
        }
        assertOk(await callGrpc(main, traces, Buffer.alloc(0)))
      },
    },
  },
  {
    id: 'grpc-real-client',
    level: 'MUST',
    says: 'grpc-js, a client that others use, reads every answer.',
    checks: {
      'OK, INVALID_ARGUMENT, UNAVAILABLE, RESOURCE_EXHAUSTED, UNIMPLEMENTED': async ({
        main,
        full,
        small,
      }) => {
        const ask = (server: Server, path: string, message: Uint8Array) =>
          new Promise<number>(resolve => {
            const client = new Client(server.grpc, credentials.createInsecure(), {
              'grpc.max_send_message_length': -1,
            })
            const plain = (bytes: Buffer) => bytes
            client.makeUnaryRequest(
              path,
              plain,
              plain,
              Buffer.from(message),
              new Metadata(),
              (error: ServiceError | null) => {
                client.close()
                resolve(error?.code ?? 0)
              },
            )
          })
        const good = protobufRequest(traces, newMarker())
        assert.equal(await ask(main, traces.grpcPath, good), 0)
        assert.equal(await ask(main, traces.grpcPath, Buffer.from([1])), code.invalidArgument)
        assert.equal(await ask(full, traces.grpcPath, good), code.unavailable)
        assert.equal(await ask(small, traces.grpcPath, Buffer.alloc(2 * smallBytes)), code.resourceExhausted)
        assert.equal(await ask(main, '/x.Y/Z', good), code.unimplemented)
      },
    },
  },
]

export const grpcChapters: readonly Chapter<ServerWorld>[] = [
  { source: 'OTLP 1.11, "OTLP/gRPC Request" and "Concurrent Requests"', sentences: requestSentences },
  { source: 'OTLP 1.11, "OTLP/gRPC Response" and "Throttling"', sentences: responseSentences },
  { source: 'gRPC PROTOCOL-HTTP2.md and statuscodes.md', sentences: httpSentences },
  { source: 'RFC 9113, and gRPC in practice', sentences: connectionSentences },
]
