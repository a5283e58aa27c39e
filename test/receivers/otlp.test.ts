import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, constants } from 'node:http2'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { Answer } from '../../core/component.ts'
import { configOf } from '../../core/config/check.ts'
import { packageRoot } from '../../core/package-root.ts'
import { encodeFrame } from '../../formats/otlp/grpc-framing.ts'
import { decodeStatus } from '../../formats/otlp/status.ts'
import type { Batch } from '../../model/batch.ts'
import otlp from '../../receivers/otlp/index.ts'
import file from '../../exporters/file/index.ts'
import { configFrom } from '../helpers/environment.ts'
import { receiverBench, type ReceiverBench } from '../helpers/context.ts'
import { decodeWith, encodeWith } from '../helpers/otlp-oracle.ts'
import { logsRequest, metricsRequest, spanFields, traceRequest } from '../helpers/otlp-requests.ts'

interface Running extends ReceiverBench {
  /** `127.0.0.1:port` */
  readonly grpc: string
  readonly http: string
  readonly ended: Promise<void>
}

async function start(
  t: Test,
  options: {
    grpc?: object
    http?: object
    signals?: readonly ('traces' | 'metrics' | 'logs')[]
    answer?: (batch: Batch) => Answer | Promise<Answer>
  } = {},
): Promise<Running> {
  const bench = receiverBench(options)
  const config = configOf(otlp.schema, {
    protocols: {
      grpc: { endpoint: '127.0.0.1:0', ...options.grpc },
      http: { endpoint: '127.0.0.1:0', ...options.http },
    },
  })
  const ended = bench.run(await otlp.create(config as never, bench.context))
  const address = (protocol: string) => {
    const line = bench.log.find(({ message }) => message === `OTLP/${protocol} is listening`)
    return String(line?.fields['address'])
  }
  const running = { ...bench, grpc: address('gRPC'), http: address('HTTP'), ended }
  t.teardown(async () => {
    bench.stop()
    await ended
  })
  return running
}

const protobufType = { 'content-type': 'application/x-protobuf' }
const jsonType = { 'content-type': 'application/json' }

async function post(
  url: string,
  body: Uint8Array | string,
  headers: Record<string, string>,
): Promise<{ status: number; headers: Headers; body: Buffer }> {
  const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(body) })
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  }
}

t.test('takes spans by the official JavaScript exporters over gRPC, HTTP protobuf and HTTP JSON', async t => {
  const receiver = await start(t)
  const exporters: Record<string, SpanExporter> = {
    grpc: new GrpcExporter({ url: `http://${receiver.grpc}` }),
    proto: new ProtoExporter({ url: `http://${receiver.http}/v1/traces` }),
    'proto with gzip': new ProtoExporter({
      url: `http://${receiver.http}/v1/traces`,
      compression: 'gzip' as never,
    }),
    json: new JsonExporter({ url: `http://${receiver.http}/v1/traces` }),
  }
  for (const [name, exporter] of Object.entries(exporters)) {
    receiver.intakes.length = 0
    const results: unknown[] = []
    const watched: SpanExporter = {
      export: (spans, done) =>
        exporter.export(spans, result => {
          results.push(result.code, result.error?.message)
          done(result)
        }),
      shutdown: () => exporter.shutdown(),
    }
    const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(watched)] })
    const tracer = provider.getTracer('checkout', '1.2')
    const span = tracer.startSpan('GET /cart', {
      attributes: {
        text: 'ü',
        count: 7,
        share: 0.5,
        wide: Number.MAX_SAFE_INTEGER,
        list: ['a', 'b'],
        not: Number.NaN,
      },
    })
    span.addEvent('cache miss', { key: 'cart:1' })
    span.end()
    await provider.forceFlush()
    await provider.shutdown()
    t.same(results, [0, undefined], `${name}: the exporter saw no error`)
    const [group] = receiver.intakes[0]!.batch.groups
    const [seen] = group!.spans
    t.equal(seen!.name, 'GET /cart', `${name}: the name`)
    t.equal(seen!.traceId, span.spanContext().traceId, `${name}: the trace id`)
    t.equal(group!.scope.bytes !== undefined && seen!.events[0]?.name, 'cache miss', `${name}: the event`)
    const { not, ...attributes } = Object.fromEntries(seen!.attributes)
    t.same(attributes, {
      text: 'ü',
      count: 7,
      share: 0.5,
      wide: Number.MAX_SAFE_INTEGER,
      list: ['a', 'b'],
    })
    t.ok(
      name === 'json' ? not === null : Number.isNaN(not),
      `${name}: NaN, which JSON of that SDK calls null`,
    )
  }
})

t.test('HTTP: answers success with an empty message in the encoding of the request', async t => {
  const receiver = await start(t)
  const base = `http://${receiver.http}`
  const request = traceRequest([spanFields(1), spanFields(2)])
  const taken = await post(`${base}/v1/traces`, request, protobufType)
  t.equal(taken.status, 200)
  t.equal(taken.headers.get('content-type'), 'application/x-protobuf')
  t.equal(taken.body.length, 0, 'partial_success is not set')
  t.equal(receiver.intakes[0]!.batch.items, 2)
  t.same(Buffer.from(receiver.intakes[0]!.batch.encode()), Buffer.from(request), 'the bytes are untouched')
  t.match(receiver.peers[0], /^127\.0\.0\.1:\d+$/)
  const json = await post(`${base}/v1/traces`, '{"resourceSpans":[]}', {
    'content-type': 'Application/JSON; charset=utf-8',
  })
  t.equal(json.status, 200)
  t.equal(json.headers.get('content-type'), 'application/json')
  t.equal(json.body.toString(), '{}')
  t.equal((await post(`${base}/v1/traces`, '', protobufType)).status, 200, 'an empty request')
  t.equal(receiver.intakes.length, 1, 'empty requests go nowhere')
  t.equal((await post(`${base}/v1/metrics`, metricsRequest(3), protobufType)).status, 200)
  t.equal((await post(`${base}/v1/logs`, logsRequest(4), protobufType)).status, 200)
  t.same(
    receiver.intakes.slice(1).map(({ batch }) => [batch.signal, batch.items]),
    [
      ['metrics', 3],
      ['logs', 4],
    ],
  )
})

t.test('HTTP: inflates every coding that senders use, in any case', async t => {
  const receiver = await start(t)
  const url = `http://${receiver.http}/v1/traces`
  const request = traceRequest([spanFields(1)])
  const members = Buffer.concat([gzipSync(request.subarray(0, 20)), gzipSync(request.subarray(20))])
  for (const [coding, body] of [
    ['gzip', gzipSync(request)],
    ['GZip', gzipSync(request)],
    ['x-gzip', gzipSync(request)],
    ['gzip', members],
    ['deflate', deflateSync(request)],
    ['deflate', deflateRawSync(request)],
    ['identity', request],
    ['none', request],
  ] as const) {
    receiver.intakes.length = 0
    const answer = await post(url, body, { ...protobufType, 'content-encoding': coding })
    t.equal(answer.status, 200, coding)
    t.same(Buffer.from(receiver.intakes[0]!.batch.encode()), Buffer.from(request), coding)
  }
  const cut = await post(url, gzipSync(request).subarray(0, 30), {
    ...protobufType,
    'content-encoding': 'gzip',
  })
  t.equal(cut.status, 400, 'a body that ends early is never delivered')
  const strange = await post(url, request, { ...protobufType, 'content-encoding': 'br' })
  t.equal(strange.status, 415)
  t.match(strange.headers.get('accept-encoding'), /gzip/)
  t.ok(decodeStatus(strange.body)?.message)
})

t.test('HTTP: every refusal is a Status in the encoding of the request', async t => {
  const receiver = await start(t, { http: { max_request_body_size: '10KiB' } })
  const base = `http://${receiver.http}`
  const large = Buffer.alloc(20_000)
  const cases: [number, string, Parameters<typeof post>][] = [
    [400, 'broken protobuf', [`${base}/v1/traces`, 'garbage', protobufType]],
    [400, 'broken JSON', [`${base}/v1/traces`, '{"resourceSpans":[', jsonType]],
    [400, 'text after JSON', [`${base}/v1/traces`, '{} x', jsonType]],
    [
      400,
      'not UTF-8',
      [`${base}/v1/traces`, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), jsonType],
    ],
    [400, 'not an object', [`${base}/v1/traces`, '[]', jsonType]],
    [404, 'path', [`${base}/v1/nothing`, '', protobufType]],
    [413, 'too large', [`${base}/v1/traces`, large, protobufType]],
    [
      413,
      'too large inflated',
      [`${base}/v1/traces`, gzipSync(large), { ...protobufType, 'content-encoding': 'gzip' }],
    ],
    [415, 'content type', [`${base}/v1/traces`, 'x', { 'content-type': 'text/plain' }]],
  ]
  for (const [code, name, [url, body, headers]] of cases) {
    const answer = await post(url, body, headers)
    t.equal(answer.status, code, name)
    const isProtobuf = headers === protobufType || headers['content-encoding'] !== undefined
    t.equal(
      answer.headers.get('content-type'),
      isProtobuf ? 'application/x-protobuf' : 'application/json',
      name,
    )
    t.ok(decodeStatus(answer.body, isProtobuf ? 'protobuf' : 'json')?.message, `${name} says why`)
    if (code === 400 && isProtobuf) {
      t.match(decodeWith('Status', answer.body), {
        details: [{ typeUrl: 'type.googleapis.com/google.rpc.BadRequest' }],
      })
    }
  }
  const get = await fetch(`${base}/v1/traces`)
  t.equal(get.status, 405)
  t.equal(get.headers.get('allow'), 'POST')
  t.ok(decodeStatus(Buffer.from(await get.arrayBuffer()), 'json')?.message)
  t.equal(receiver.intakes.length, 0)
})

t.test('HTTP: takes the good spans of a request and says which were refused', async t => {
  const receiver = await start(t)
  const url = `http://${receiver.http}/v1/traces`
  const mixed = [
    spanFields(1),
    spanFields(2, { traceId: Buffer.alloc(15, 1) }),
    spanFields(3, { spanId: Buffer.alloc(8) }),
    spanFields(4),
  ]
  const answer = await post(url, traceRequest(mixed), protobufType)
  t.equal(answer.status, 200)
  t.match(decodeWith('ExportTraceServiceResponse', answer.body), {
    partialSuccess: { rejectedSpans: '2', errorMessage: /trace_id has 15 bytes.*span_id is missing/ },
  })
  t.same(
    receiver.intakes[0]!.batch.groups[0]!.spans.map(({ name }) => name),
    ['span 1', 'span 4'],
  )
  t.same(receiver.refused, [{ signal: 'traces', items: 2, reason: 'malformed' }])
  t.match(receiver.log.at(-1), { level: 'warn', fields: { rejected: 2, peer: /^127/ } })
  const json = {
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              { traceId: '0'.repeat(31) + '1', spanId: '0'.repeat(15) + '1', name: 'good' },
              { traceId: 'xyz', spanId: '0'.repeat(15) + '2', name: 'no hex' },
            ],
          },
        ],
      },
    ],
  }
  const jsonAnswer = await post(url, JSON.stringify(json), jsonType)
  t.equal(jsonAnswer.status, 200)
  t.match(JSON.parse(jsonAnswer.body.toString()), {
    partialSuccess: { rejectedSpans: '1', errorMessage: /traceId must be hex digits/ },
  })
  const none = await post(url, traceRequest([mixed[1]!]), protobufType)
  t.equal(none.status, 400, 'nothing good in it')
  const foreign = await post(url, '{"metrics": 1}', jsonType)
  t.equal(foreign.status, 200)
  t.match(JSON.parse(foreign.body.toString()), { partialSuccess: { errorMessage: /its keys are: metrics/ } })
})

t.test('both protocols: a refusal by the pipelines is retryable and says when', async t => {
  const receiver = await start(t, {
    answer: () => ({ kind: 'refused', reason: 'queue full', retryAfterMs: 2500 }),
  })
  const answer = await post(`http://${receiver.http}/v1/traces`, traceRequest([spanFields(1)]), protobufType)
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '3')
  t.match(decodeStatus(answer.body), { message: 'queue full', retryAfterMs: 2500 })
  const error = await call(t, receiver.grpc, traceRequest([spanFields(1)])).catch(
    (error: unknown) => error as ServiceError,
  )
  t.match(error, { code: status.UNAVAILABLE, details: 'queue full' })
  const details = (error as ServiceError).metadata.get('grpc-status-details-bin')[0]
  t.match(decodeStatus(details as Buffer), { code: 14, retryAfterMs: 2500 })
})

t.test('offers only the signals that pipelines take', async t => {
  const receiver = await start(t, { signals: ['traces'] })
  t.equal((await post(`http://${receiver.http}/v1/logs`, logsRequest(), protobufType)).status, 404)
  const error = await call(t, receiver.grpc, logsRequest(), { path: logsMethod }).catch(
    (error: unknown) => error as ServiceError,
  )
  t.match(error, { code: status.UNIMPLEMENTED })
})

t.test('HTTP: answers browsers of allowed origins', async t => {
  const receiver = await start(t, {
    http: { cors: { allowed_origins: ['https://*.example.com'], max_age: 60 } },
  })
  const preflight = await fetch(`http://${receiver.http}/v1/traces`, {
    method: 'OPTIONS',
    headers: { origin: 'https://shop.example.com', 'access-control-request-method': 'POST' },
  })
  t.equal(preflight.status, 204)
  t.equal(preflight.headers.get('access-control-allow-origin'), 'https://shop.example.com')
  t.match(preflight.headers.get('access-control-allow-headers'), /Content-Type/)
  const other = await fetch(`http://${receiver.http}/v1/traces`, {
    method: 'OPTIONS',
    headers: { origin: 'https://example.org', 'access-control-request-method': 'POST' },
  })
  t.equal(other.headers.get('access-control-allow-origin'), null)
})

t.test('HTTP: what is no HTTP gets a 400 with a Status', async t => {
  const receiver = await start(t)
  const [host, port] = receiver.http.split(':')
  const text = await new Promise<string>(resolve => {
    let received = ''
    const socket = connect(Number(port), host, () => socket.write('\x00\x01 rubbish\r\n\r\n'))
    socket.on('data', chunk => (received += chunk.toString()))
    socket.on('close', () => resolve(received))
  })
  t.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/)
  t.match(text, /"message"/)
})

t.test('a taken port is one line that names the address and the config key', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => blocker.once('listening', resolve))
  t.teardown(() => blocker.close())
  const { port } = blocker.address() as { port: number }
  for (const protocol of ['grpc', 'http']) {
    const bench = receiverBench({ id: 'otlp/edge' })
    const config = configOf(otlp.schema, { protocols: { [protocol]: { endpoint: `127.0.0.1:${port}` } } })
    await t.rejects(Promise.resolve(otlp.create(config as never, bench.context)), {
      code: 'OTLP_CANNOT_LISTEN',
      remedy: 'fix-config',
      message: `otlp cannot listen on 127.0.0.1:${port}: the address is taken by another program. Free it, or set receivers.otlp/edge.protocols.${protocol}.endpoint to another one.`,
    })
  }
})

t.test('stops when told: answers what is in hand, takes nothing new, completes', async t => {
  const answers: ((answer: Answer) => void)[] = []
  const receiver = await start(t, { answer: () => new Promise(resolve => answers.push(resolve)) })
  const pending = post(`http://${receiver.http}/v1/traces`, traceRequest([spanFields(1)]), protobufType)
  const pendingCall = call(t, receiver.grpc, traceRequest([spanFields(2)]))
  while (answers.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
  receiver.stop()
  await t.rejects(post(`http://${receiver.http}/v1/traces`, '', protobufType), 'no new connections')
  for (const answer of answers) answer({ kind: 'accepted' })
  t.equal((await pending).status, 200)
  t.same(await pendingCall, Buffer.alloc(0))
  await receiver.ended
})

t.test('stops although senders do not hang up', async t => {
  const receiver = await start(t)
  for (const address of [receiver.http, receiver.grpc]) {
    const [host, port] = address.split(':')
    const idle = connect({ host: host!, port: Number(port), allowHalfOpen: true })
    t.teardown(() => idle.destroy())
    await new Promise(resolve => idle.once('connect', resolve))
    if (address === receiver.http) idle.write('POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n')
  }
  await post(`http://${receiver.http}/v1/traces`, traceRequest([spanFields(1)]), protobufType)
  receiver.stop()
  await receiver.ended
  t.equal(receiver.intakes.length, 1)
})

t.test('garbage into the ports harms nobody else', async t => {
  const receiver = await start(t, {
    http: { max_request_body_size: '1MiB' },
    grpc: { max_recv_msg_size_mib: 1 },
  })
  const idle = [receiver.http, receiver.grpc].flatMap(address => {
    const [host, port] = address.split(':')
    return Array.from({ length: 100 }, () => connect({ host: host!, port: Number(port) }))
  })
  t.teardown(() => idle.forEach(socket => socket.destroy()))
  for (const address of [receiver.http, receiver.grpc]) {
    const [host, port] = address.split(':')
    for (let seed = 0; seed < 30; seed++) {
      const rubbish = Buffer.from(
        Array.from({ length: 2000 }, (_, index) => (seed * 7919 + index * index * 31) % 251),
      )
      const socket = connect({ host: host!, port: Number(port) })
      socket.on('error', () => undefined)
      socket.resume()
      socket.end(
        seed % 2 === 0 ? rubbish : Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), rubbish]),
      )
      await new Promise(resolve => socket.once('close', resolve))
    }
  }
  const zeros = Buffer.alloc(64 * 1024 * 1024)
  const bomb = gzipSync(Buffer.concat([gzipSync(zeros), gzipSync(zeros)]))
  for (const coding of ['gzip', 'gzip, gzip']) {
    const body = coding === 'gzip' ? gzipSync(zeros) : bomb
    const answer = await post(`http://${receiver.http}/v1/traces`, body, {
      ...protobufType,
      'content-encoding': coding,
    })
    t.equal(answer.status, 413, coding)
  }
  const thrice = { ...protobufType, 'content-encoding': 'gzip, gzip, gzip' }
  t.equal((await post(`http://${receiver.http}/v1/traces`, bomb, thrice)).status, 415)
  const good = await post(`http://${receiver.http}/v1/traces`, traceRequest([spanFields(1)]), protobufType)
  t.equal(good.status, 200)
  t.same(await call(t, receiver.grpc, traceRequest([spanFields(1)])), Buffer.alloc(0))
  t.equal(receiver.intakes.length, 2)
})

t.test('speaks TLS, with senders’ certificates where they are asked for', async t => {
  const certificates = join(packageRoot(), 'test/golden/tls')
  const tls = { cert_file: join(certificates, 'cert.pem'), key_file: join(certificates, 'key.pem') }
  const cert = readFileSync(tls.cert_file)
  const key = readFileSync(tls.key_file)
  const receiver = await start(t, { grpc: { tls }, http: { tls } })
  const [, httpPort] = receiver.http.split(':')
  const options = {
    port: Number(httpPort),
    path: '/v1/traces',
    method: 'POST',
    headers: protobufType,
    ca: cert,
  }
  t.equal(await secureStatus(options, traceRequest([spanFields(1)])), 200)
  const secure = credentials.createSsl(cert)
  t.same(
    await call(t, receiver.grpc, traceRequest([spanFields(2)]), { credentials: secure }),
    Buffer.alloc(0),
  )
  t.equal(receiver.intakes.length, 2)
  const mutual = await start(t, { http: { tls: { ...tls, client_ca_file: tls.cert_file } } })
  const strict = { ...options, port: Number(mutual.http.split(':')[1]) }
  await t.rejects(secureStatus(strict, traceRequest([spanFields(1)])), 'without a certificate')
  t.equal(await secureStatus({ ...strict, cert, key }, traceRequest([spanFields(1)])), 200)
  const bench = receiverBench({ id: 'otlp' })
  const config = configOf(otlp.schema, { protocols: { http: { tls: { ...tls, key_file: '/nowhere' } } } })
  await t.rejects(Promise.resolve(otlp.create(config as never, bench.context)), {
    code: 'TLS_UNREADABLE_FILE',
  })
})

function secureStatus(options: RequestOptions, body: Uint8Array): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({ host: '127.0.0.1', ...options }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

const traceMethod = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'
const logsMethod = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
const metricsMethod = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export'

/** A unary call by grpc-js. */
function call(
  t: Test,
  address: string,
  message: Uint8Array,
  options: { path?: string; channel?: object; call?: object; credentials?: ChannelCredentials } = {},
): Promise<Buffer> {
  const client = new Client(address, options.credentials ?? credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    ...options.channel,
  })
  t.teardown(() => client.close())
  const same = (bytes: Buffer) => bytes
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      options.path ?? traceMethod,
      same,
      same,
      Buffer.from(message),
      new Metadata(),
      options.call ?? {},
      (error, reply) => (error ? reject(error) : resolve(reply!)),
    )
  })
}

t.test('gRPC: serves the client of grpc-js, all signals, also with gzip and large messages', async t => {
  const receiver = await start(t)
  t.same(
    await call(t, receiver.grpc, traceRequest([spanFields(1)])),
    Buffer.alloc(0),
    'partial_success is not set',
  )
  await call(t, receiver.grpc, metricsRequest(3), { path: metricsMethod })
  await call(t, receiver.grpc, logsRequest(4), { path: logsMethod })
  await call(t, receiver.grpc, traceRequest([spanFields(5)]), {
    channel: { 'grpc.default_compression_algorithm': 2 },
  })
  const attributes = [{ key: 'big', value: { stringValue: 'x'.repeat(20_000_000) } }]
  await call(t, receiver.grpc, traceRequest([spanFields(6, { attributes })]))
  await call(t, receiver.grpc, Buffer.alloc(0))
  t.same(
    receiver.intakes.map(({ batch }) => [batch.signal, batch.items]),
    [
      ['traces', 1],
      ['metrics', 3],
      ['logs', 4],
      ['traces', 1],
      ['traces', 1],
    ],
  )
  t.equal(receiver.intakes[4]!.batch.groups[0]!.spans[0]!.text('big').length, 20_000_000)
  t.match(receiver.peers[0], /^127\.0\.0\.1:\d+$/)
})

t.test('gRPC: fails with the codes of the specification', async t => {
  const receiver = await start(t, { grpc: { max_recv_msg_size_mib: 1 } })
  const failing = async (message: Uint8Array, options: object = {}) =>
    call(t, receiver.grpc, message, options).then(
      () => 'no error',
      (error: unknown) => error as ServiceError,
    )
  const invalid = await failing(Buffer.from('garbage'))
  t.match(invalid, { code: status.INVALID_ARGUMENT, details: /not a valid ExportTraceServiceRequest/ })
  const details = (invalid as ServiceError).metadata.get('grpc-status-details-bin')[0] as Buffer
  t.match(decodeWith('Status', details), {
    details: [{ typeUrl: 'type.googleapis.com/google.rpc.BadRequest' }],
  })
  t.match(await failing(Buffer.alloc(2_000_000)), { code: status.RESOURCE_EXHAUSTED })
  const bomb = await failing(Buffer.alloc(2_000_000), {
    channel: { 'grpc.default_compression_algorithm': 2 },
  })
  t.match(bomb, { code: status.RESOURCE_EXHAUSTED })
  t.equal((bomb as ServiceError).metadata.get('grpc-status-details-bin').length, 0, 'without RetryInfo')
  t.match(await failing(Buffer.alloc(0), { path: '/some.Other/Method' }), { code: status.UNIMPLEMENTED })
  const mixed = traceRequest([spanFields(1), spanFields(2, { spanId: Buffer.alloc(3, 1) })])
  t.match(decodeWith('ExportTraceServiceResponse', await call(t, receiver.grpc, mixed)), {
    partialSuccess: { rejectedSpans: '1', errorMessage: /span_id has 3 bytes/ },
  })
})

t.test('gRPC: keeps to the framing and its faults', async t => {
  const receiver = await start(t)
  const session = connectHttp2(`http://${receiver.grpc}`)
  t.teardown(() => session.close())
  const headers = {
    ':method': 'POST',
    ':path': traceMethod,
    'content-type': 'application/grpc+proto',
    te: 'trailers',
  }
  const raw = async (
    chunks: readonly Uint8Array[],
    more: Record<string, string> = {},
  ): Promise<Record<string, unknown>> => {
    const stream = session.request({ ...headers, ...more })
    const seen: Record<string, unknown> = {}
    stream.on('response', head => void Object.assign(seen, head))
    stream.on('trailers', trailers => void Object.assign(seen, trailers))
    stream.on('error', () => undefined)
    stream.resume()
    for (const chunk of chunks) {
      stream.write(chunk)
      await new Promise(resolve => setImmediate(resolve))
    }
    stream.end()
    await new Promise(resolve => stream.once('close', resolve))
    return seen
  }
  const message = traceRequest([spanFields(1)])
  const frame = encodeFrame(message, false)
  const bytewise = [...frame].map(byte => Buffer.of(byte))
  t.match(await raw(bytewise), { 'grpc-status': '0' }, 'split after every byte')
  t.same(Buffer.from(receiver.intakes[0]!.batch.encode()), Buffer.from(message))
  t.match(await raw([frame, frame]), { 'grpc-status': '12' }, 'two messages')
  t.match(await raw([]), { 'grpc-status': '12' }, 'no message')
  t.match(await raw([frame.subarray(0, 40)]), { 'grpc-status': '13' }, 'cut off')
  t.match(
    await raw([encodeFrame(gzipSync(message), true)]),
    { 'grpc-status': '13' },
    'compressed without an encoding',
  )
  const unknown = await raw([encodeFrame(message, true)], { 'grpc-encoding': 'snappy' })
  t.match(unknown, { 'grpc-status': '12', 'grpc-accept-encoding': /gzip/ })
  t.match(
    await raw([frame], { 'grpc-encoding': 'gzip' }),
    { 'grpc-status': '0' },
    'not compressed although announced',
  )
  t.match(await raw([frame], { 'grpc-timeout': 'soon' }), { 'grpc-status': '13' }, 'malformed timeout')
  t.match(await raw([frame], { 'content-type': 'application/json' }), { ':status': 415 })
  t.match(await raw([frame], { 'grpc-timeout': '1H' }), { 'grpc-status': '0' })
  t.equal(receiver.intakes.length, 3)
  const broken = session.request(headers)
  broken.on('error', () => undefined)
  broken.write(frame.subarray(0, 40))
  broken.close(constants.NGHTTP2_CANCEL)
  await new Promise(resolve => broken.once('close', resolve))
  t.match(await raw([frame]), { 'grpc-status': '0' }, 'the connection goes on after a broken call')
  t.equal(receiver.intakes.length, 4, 'nothing of the broken call was taken')
})

t.test('gRPC: a call past its deadline is told so', async t => {
  const receiver = await start(t, { answer: () => new Promise(() => undefined) })
  const stopped = call(t, receiver.grpc, traceRequest([spanFields(1)]), {
    call: { deadline: Date.now() + 200 },
  })
  await t.rejects(stopped, { code: status.DEADLINE_EXCEEDED })
})

t.test('names the key when no protocol is written', async t => {
  const config = (protocols: string) => `
    receivers: { otlp: { protocols: ${protocols} } }
    exporters: { file: { path: '-' } }
    service: { pipelines: { traces: { receivers: [otlp], exporters: [file] } } }`
  await t.rejects(configFrom(config('{}'), [otlp, file]), /receivers\.otlp\.protocols names no protocol/)
  await t.resolves(configFrom(config('{ http: }'), [otlp, file]))
})

t.test('profiles are taken, counted by samples', async t => {
  const receiver = await start(t)
  const request = encodeWith('ExportProfilesServiceRequest', {
    resourceProfiles: [
      { scopeProfiles: [{ profiles: [{ samples: [{ values: ['1', '2'] }, { stackIndex: 1 }] }] }] },
    ],
    dictionary: { stringTable: ['', 'cpu'] },
  })
  const answer = await post(`http://${receiver.http}/v1development/profiles`, request, protobufType)
  t.equal(answer.status, 200)
  t.equal(receiver.intakes[0]!.batch.items, 2)
})
