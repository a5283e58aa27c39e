import {
  compressionAlgorithms,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js'
import { readFileSync } from 'node:fs'
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { configOf } from '../../core/config/check.ts'
import type { FullspanError } from '../../core/errors.ts'
import { packageRoot } from '../../core/package-root.ts'
import otlpGrpc from '../../exporters/otlp_grpc/index.ts'
import { encodeFrame } from '../../formats/otlp/grpc-framing.ts'
import { encodeReply } from '../../formats/otlp/reply.ts'
import { allSignals } from '../../formats/otlp/signals.ts'
import { encodeStatus } from '../../formats/otlp/status.ts'
import { Batch } from '../../model/batch.ts'
import { exporterBench } from '../helpers/context.ts'
import { logsRequest, metricsRequest, spanFields, traceRequest } from '../helpers/otlp-requests.ts'

type Call = ServerUnaryCall<Buffer, Buffer>

/** A server by grpc-js that answers as told. */
async function backEnd(
  t: Test,
  answer: (call: Call, reply: sendUnaryData<Buffer>) => void,
  credentials = ServerCredentials.createInsecure(),
): Promise<{ address: string; seen: { path: string; bytes: Buffer; metadata: Metadata }[]; server: Server }> {
  const seen: { path: string; bytes: Buffer; metadata: Metadata }[] = []
  const server = new Server({
    'grpc.max_receive_message_length': -1,
    'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
  })
  const same = (bytes: Buffer) => bytes
  for (const { grpcPath } of allSignals) {
    const Export = {
      path: grpcPath,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    } as const
    const handler = (call: Call, reply: sendUnaryData<Buffer>) => {
      seen.push({ path: grpcPath, bytes: call.request, metadata: call.metadata })
      answer(call, reply)
    }
    server.addService({ Export }, { Export: handler })
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound)))
  })
  t.teardown(() => server.forceShutdown())
  return { address: `127.0.0.1:${port}`, seen, server }
}

async function exporterOf(
  t: Test,
  config: object,
): Promise<{
  send: (batch: Batch, cancelled?: AbortSignal) => Promise<void>
  bench: ReturnType<typeof exporterBench>
}> {
  const bench = exporterBench('otlp_grpc')
  const parsed = configOf(otlpGrpc.schema, { tls: { insecure: true }, ...config })
  const exporter = await otlpGrpc.create(parsed as never, bench.context)
  if (typeof exporter === 'function') throw new Error('it closes something')
  t.teardown(() => exporter.close())
  return {
    send: (batch, cancelled = new AbortController().signal) => exporter.export(batch, cancelled),
    bench,
  }
}

const spans = (count: number, more: object = {}) => {
  const bytes = traceRequest(Array.from({ length: count }, (_, index) => spanFields(index, more)))
  return Batch.ofRequest('traces', bytes, count)
}

async function failureOf(sent: Promise<void>): Promise<FullspanError> {
  return sent.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error as FullspanError,
  )
}

const fine = (_call: Call, reply: sendUnaryData<Buffer>) => reply(null, Buffer.alloc(0))

t.test(
  'delivers every signal to the server of grpc-js, with and without gzip, also large batches',
  async t => {
    for (const compression of ['gzip', 'none']) {
      const { address, seen } = await backEnd(t, fine)
      const { send } = await exporterOf(t, { endpoint: address, compression, headers: { 'X-Tenant': 'a' } })
      const large = spans(1, { attributes: [{ key: 'big', value: { stringValue: 'x'.repeat(20_000_000) } }] })
      await send(spans(2))
      await send(Batch.ofRequest('metrics', metricsRequest(), 2))
      await send(Batch.ofRequest('logs', logsRequest(), 2))
      await send(large)
      t.same(
        seen.map(({ path }) => path.split('.').at(-1)),
        ['TraceService/Export', 'MetricsService/Export', 'LogsService/Export', 'TraceService/Export'],
      )
      t.same(seen[0]!.bytes, Buffer.from(spans(2).encode()))
      t.ok(seen[3]!.bytes.equals(Buffer.from(large.encode())))
      t.same(seen[0]!.metadata.get('x-tenant'), ['a'])
    }
  },
)

t.test('many calls at once share one connection', async t => {
  const { address, seen } = await backEnd(t, (_call, reply) =>
    setTimeout(() => reply(null, Buffer.alloc(0)), 20),
  )
  const { send } = await exporterOf(t, { endpoint: `http://${address}` })
  await Promise.all(Array.from({ length: 50 }, () => send(spans(3))))
  t.equal(seen.length, 50)
})

t.test(
  'retries the codes that the specification lets it, RESOURCE_EXHAUSTED only with RetryInfo',
  async t => {
    let answer: object = {}
    const { address } = await backEnd(t, (_call, reply) => reply(answer))
    const { send } = await exporterOf(t, { endpoint: address })
    const retried: number[] = []
    for (let code = 1; code <= 16; code++) {
      answer = { code: code, details: `because ü ${code}` }
      const error = await failureOf(send(spans(1)))
      if (error.remedy === 'retry') retried.push(code)
      t.match(error.message, `because ü ${code}`)
    }
    t.same(retried, [1, 4, 10, 11, 14, 15])
    for (const code of [status.RESOURCE_EXHAUSTED, status.UNAVAILABLE]) {
      const metadata = new Metadata()
      metadata.set(
        'grpc-status-details-bin',
        Buffer.from(encodeStatus({ code, message: '', retryAfterMs: 2500 })),
      )
      answer = { code, details: 'full', metadata }
      t.match(await failureOf(send(spans(1))), { remedy: 'retry', afterMs: 2500 })
    }
  },
)

t.test('counts what the other side rejected of a batch', async t => {
  const body = Buffer.from(encodeReply('traces', 'protobuf', { rejected: 3, message: 'too old' }))
  const { address } = await backEnd(t, (_call, reply) => reply(null, body))
  const { send, bench } = await exporterOf(t, { endpoint: address })
  await send(spans(5))
  t.same(
    bench.dropped.map(({ items }) => items),
    [3],
  )
  t.match(bench.log, [{ level: 'warn', fields: { message: 'too old' } }])
})

t.test(
  'sends no empty envelope, and nothing larger than allowed; reads no reply that is too large',
  async t => {
    const { address, seen } = await backEnd(t, (_call, reply) => reply(null, Buffer.alloc(50_000, 1)))
    const { send } = await exporterOf(t, {
      endpoint: address,
      max_request_size: '2KiB',
      max_response_size: '10KiB',
    })
    await send(Batch.ofRequest('traces', traceRequest([]), 0))
    t.match(await failureOf(send(spans(100))), { code: 'OTLP_REQUEST_TOO_LARGE', remedy: 'drop' })
    t.equal(seen.length, 0)
    t.match(await failureOf(send(spans(1))), { code: 'OTLP_REJECTED', remedy: 'drop' })
  },
)

t.test('retries when nobody answers, and connects again when somebody does', async t => {
  const port = await freePort()
  const { send } = await exporterOf(t, { endpoint: `127.0.0.1:${port}` })
  t.match(await failureOf(send(spans(1))), {
    code: 'OTLP_UNAVAILABLE',
    remedy: 'retry',
    message: /ECONNREFUSED/,
  })
  const server = await rawServer(t, port, answerEmpty)
  await send(spans(1))
  for (const session of server.sessions) session.destroy()
  await new Promise(resolve => setTimeout(resolve, 20))
  await send(spans(1))
  t.equal(server.count, 2, 'a broken connection is made anew')
  for (const session of server.sessions) session.goaway()
  await new Promise(resolve => setTimeout(resolve, 20))
  await send(spans(1))
  t.equal(server.count, 3, 'after GOAWAY too')
})

t.test('a call that is on its way when the connection breaks is retried', async t => {
  const server = await rawServer(t, 0, stream => stream.session?.destroy())
  const { send } = await exporterOf(t, { endpoint: server.address })
  t.match(await failureOf(send(spans(1))), { code: 'OTLP_UNAVAILABLE', remedy: 'retry' })
  const refusing = await rawServer(t, 0, stream => stream.close(7))
  const refused = await exporterOf(t, { endpoint: refusing.address })
  t.match(await failureOf(refused.send(spans(1))), { code: 'OTLP_UNAVAILABLE', remedy: 'retry' })
  const cut = await rawServer(t, 0, stream => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.end(encodeFrame(Buffer.alloc(0), false))
  })
  const unfinished = await exporterOf(t, { endpoint: cut.address })
  t.match(await failureOf(unfinished.send(spans(1))), { remedy: 'retry' }, 'no trailers')
})

t.test('what is no gRPC server is told by its HTTP status', async t => {
  for (const [httpStatus, remedy] of [
    [404, 'drop'],
    [503, 'retry'],
    [429, 'retry'],
    [403, 'drop'],
  ] as const) {
    const server = await rawServer(t, 0, stream => {
      stream.respond({ ':status': httpStatus, 'content-type': 'text/html' })
      stream.end('<html>')
    })
    const { send } = await exporterOf(t, { endpoint: server.address })
    t.match(await failureOf(send(spans(1))), { remedy, message: new RegExp(`HTTP ${httpStatus}`) })
  }
})

t.test('a call that is cancelled ends at once, and a connection that is dead is given up', async t => {
  const sockets: Socket[] = []
  const silent = createTcpServer(socket => sockets.push(socket.on('error', () => undefined)))
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const { port } = silent.address() as { port: number }
  const { send } = await exporterOf(t, { endpoint: `127.0.0.1:${port}`, timeout: '100ms' })
  const cancelled = new AbortController()
  const sent = failureOf(send(spans(1), cancelled.signal))
  setTimeout(() => cancelled.abort(), 50)
  t.match(await sent, { code: 'OTLP_UNAVAILABLE', remedy: 'retry' })
})

t.test('speaks TLS to grpc-js, and trusts only whom it was told to', async t => {
  const folder = join(packageRoot(), 'test/golden/tls')
  const ca = join(folder, 'cert.pem')
  const pair = { cert_chain: readFileSync(ca), private_key: readFileSync(join(folder, 'key.pem')) }
  const { address, seen } = await backEnd(t, fine, ServerCredentials.createSsl(null, [pair]))
  const trusting = await exporterOf(t, { endpoint: `https://${address}`, tls: { ca_file: ca } })
  await trusting.send(spans(1))
  const named = { ca_file: ca, insecure: false, server_name_override: 'localhost' }
  const renamed = await exporterOf(t, { endpoint: address, tls: named })
  await renamed.send(spans(1))
  t.equal(seen.length, 2)
  const strict = await exporterOf(t, { endpoint: address, tls: { insecure: false } })
  t.match(await failureOf(strict.send(spans(1))), { remedy: 'retry', message: /certificate/ })
})

t.test('sends its deadline along', async t => {
  let timeout: unknown
  const server = await rawServer(t, 0, (stream, headers) => {
    timeout = headers['grpc-timeout']
    answerEmpty(stream)
  })
  const { send } = await exporterOf(t, { endpoint: server.address, timeout: '1500ms' })
  await send(spans(1))
  t.equal(timeout, '1500m')
})

interface RawServer {
  readonly address: string
  readonly sessions: Set<ServerHttp2Session>
  readonly count: number
}

/** An HTTP/2 server that does what a well-behaved one would not. */
async function rawServer(
  t: Test,
  port: number,
  answer: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
): Promise<RawServer> {
  const sessions = new Set<ServerHttp2Session>()
  let count = 0
  const server = createServer()
  server.on('session', session => {
    count++
    sessions.add(session)
    session.on('error', () => undefined)
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    stream.resume()
    stream.once('end', () => answer(stream, headers))
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const { port: bound } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${bound}`,
    sessions,
    get count() {
      return count
    },
  }
}

function answerEmpty(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(encodeFrame(Buffer.alloc(0), false))
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}
