import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { configOf } from '../../core/config/check.ts'
import type { FullspanError } from '../../core/errors.ts'
import { packageRoot } from '../../core/package-root.ts'
import otlpHttp from '../../exporters/otlp_http/index.ts'
import { parseRetryAfter } from '../../exporters/otlp_http/retry-after.ts'
import { readJsonRequest } from '../../formats/otlp/json-read.ts'
import { encodeReply } from '../../formats/otlp/reply.ts'
import { encodeStatus } from '../../formats/otlp/status.ts'
import { Batch } from '../../model/batch.ts'
import otlp from '../../receivers/otlp/index.ts'
import { configFrom } from '../helpers/environment.ts'
import { exporterBench } from '../helpers/context.ts'
import { decodeWith } from '../helpers/otlp-oracle.ts'
import { logsRequest, metricsRequest, spanFields, traceRequest } from '../helpers/otlp-requests.ts'

interface Seen {
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly port: number | undefined
}

/** A back end that answers as told. */
async function backEnd(
  t: Test,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { url: path, headers } = request
      seen.push({ path, headers, body: Buffer.concat(chunks), port: request.socket.remotePort })
      answer(response, request)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}`, seen }
}

function protobuf(
  response: ServerResponse,
  status: number,
  body: Uint8Array = Buffer.alloc(0),
  headers = {},
): void {
  response.writeHead(status, { 'content-type': 'application/x-protobuf', ...headers }).end(body)
}

async function exporterOf(
  t: Test,
  config: object,
): Promise<{
  send: (batch: Batch, cancelled?: AbortSignal) => Promise<void>
  bench: ReturnType<typeof exporterBench>
}> {
  const bench = exporterBench('otlp_http')
  const exporter = await otlpHttp.create(configOf(otlpHttp.schema, config) as never, bench.context)
  if (typeof exporter === 'function') throw new Error('it closes something')
  t.teardown(() => exporter.close())
  return {
    send: (batch, cancelled = new AbortController().signal) => exporter.export(batch, cancelled),
    bench,
  }
}

const spans = (count: number) => {
  const bytes = traceRequest(Array.from({ length: count }, (_, index) => spanFields(index)))
  return Batch.ofRequest('traces', bytes, count)
}

/** What an export failed with. */
async function failureOf(sent: Promise<void>): Promise<FullspanError> {
  return sent.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error as FullspanError,
  )
}

t.test('delivers every signal to its path, protobuf with gzip by default', async t => {
  const { url, seen } = await backEnd(t, response => protobuf(response, 200))
  const { send } = await exporterOf(t, { endpoint: `${url}/`, headers: { Authorization: 'Bearer x' } })
  await send(spans(2))
  await send(Batch.ofRequest('metrics', metricsRequest(), 2))
  await send(Batch.ofRequest('logs', logsRequest(), 2))
  t.same(
    seen.map(({ path }) => path),
    ['/v1/traces', '/v1/metrics', '/v1/logs'],
  )
  t.match(seen[0]!.headers, {
    'content-type': 'application/x-protobuf',
    'content-encoding': 'gzip',
    authorization: 'Bearer x',
  })
  t.same(gunzipSync(seen[0]!.body), Buffer.from(spans(2).encode()), 'the same bytes')
  for (let count = 0; count < 10; count++) await send(spans(1))
  t.ok(new Set(seen.map(({ port }) => port)).size <= 2, 'connections are kept')
})

t.test('delivers JSON, without compression, to URLs of its own', async t => {
  const { url, seen } = await backEnd(t, response =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
  )
  const { send } = await exporterOf(t, {
    traces_endpoint: `${url}/in?key=1`,
    encoding: 'json',
    compression: 'none',
  })
  await send(spans(3))
  t.equal(seen[0]!.path, '/in?key=1')
  t.equal(seen[0]!.headers['content-type'], 'application/json')
  t.equal(seen[0]!.headers['content-encoding'], undefined)
  const { bytes } = readJsonRequest('traces', seen[0]!.body)
  t.same(
    decodeWith('ExportTraceServiceRequest', bytes),
    decodeWith('ExportTraceServiceRequest', spans(3).encode()),
  )
  t.match(await failureOf(send(Batch.ofRequest('logs', logsRequest(), 2))), { code: 'OTLP_NO_ENDPOINT' })
})

t.test('sends no empty envelope, and nothing larger than allowed', async t => {
  const { url, seen } = await backEnd(t, response => protobuf(response, 200))
  const { send } = await exporterOf(t, { endpoint: url, max_request_size: '1KiB' })
  await send(Batch.ofRequest('traces', traceRequest([]), 0))
  t.match(await failureOf(send(spans(100))), { code: 'OTLP_REQUEST_TOO_LARGE', remedy: 'drop' })
  t.equal(seen.length, 0)
})

t.test('retries what the specification lets it, after the time that was asked for', async t => {
  let reply: (response: ServerResponse) => void = () => undefined
  const { url } = await backEnd(t, response => reply(response))
  const { send } = await exporterOf(t, { endpoint: url })
  for (const status of [429, 502, 503, 504]) {
    reply = response =>
      protobuf(response, status, encodeStatus({ code: 14, message: 'busy' }), { 'retry-after': '7' })
    const error = await failureOf(send(spans(1)))
    t.match(error, { code: 'OTLP_UNAVAILABLE', remedy: 'retry', afterMs: 7000 }, String(status))
    t.match(error.message, `HTTP ${status}, busy`)
  }
  reply = response => response.writeHead(503).end('<html>gateway</html>')
  t.match(await failureOf(send(spans(1))), { remedy: 'retry', afterMs: undefined })
  for (const status of [301, 400, 401, 403, 404, 405, 408, 413, 415, 422, 500, 501, 505]) {
    reply = response =>
      protobuf(response, status, encodeStatus({ code: 3, message: 'no' }), { 'retry-after': '7' })
    const error = await failureOf(send(spans(1)))
    const retryApart = [400, 413, 422].includes(status)
    t.match(error, { code: 'OTLP_REJECTED', remedy: 'drop', retryApart }, String(status))
  }
})

t.test('counts what the other side rejected of a batch', async t => {
  let encoding: 'protobuf' | 'json' = 'protobuf'
  const { url } = await backEnd(t, response => {
    const type = encoding === 'json' ? 'application/json' : 'application/x-protobuf'
    const body = encodeReply('traces', encoding, { rejected: 2, message: 'too old' })
    response.writeHead(200, { 'content-type': type }).end(body)
  })
  const { send, bench } = await exporterOf(t, { endpoint: url })
  await send(spans(5))
  encoding = 'json'
  await send(spans(5))
  t.same(
    bench.dropped.map(({ items, reason }) => [items, reason]),
    [
      [2, 'rejected by the other side'],
      [2, 'rejected by the other side'],
    ],
  )
  t.equal(bench.log.filter(({ level }) => level === 'warn').length, 1, 'said once in a while')
})

t.test('takes an accepted batch as delivered though the reply makes no sense', async t => {
  let body: Buffer = Buffer.from('garbage')
  const { url } = await backEnd(t, response => protobuf(response, 200, body))
  const { send, bench } = await exporterOf(t, { endpoint: url, max_response_size: '100KiB' })
  await send(spans(1))
  t.match(bench.log, [{ level: 'warn', message: 'the reply to an accepted batch is no OTLP' }])
  body = Buffer.alloc(300_000)
  t.match(await failureOf(send(spans(1))), { code: 'OTLP_REPLY_TOO_LARGE', remedy: 'drop' })
})

t.test('retries when nobody answers, the connection breaks, or time is up', async t => {
  const dead = await exporterOf(t, { endpoint: 'http://127.0.0.1:1' })
  t.match(await failureOf(dead.send(spans(1))), {
    code: 'OTLP_UNAVAILABLE',
    remedy: 'retry',
    message: /ECONNREFUSED/,
  })
  const { url } = await backEnd(t, (response, { socket }) => {
    response.writeHead(200, { 'content-length': '100' }).write('half')
    setImmediate(() => socket.destroy())
  })
  const broken = await exporterOf(t, { endpoint: url })
  t.match(await failureOf(broken.send(spans(1))), { remedy: 'retry' })
  const silent = await backEnd(t, () => undefined)
  const waiting = await exporterOf(t, { endpoint: silent.url })
  const cancelled = new AbortController()
  const sent = failureOf(waiting.send(spans(1), cancelled.signal))
  setTimeout(() => cancelled.abort(), 50)
  t.match(await sent, { remedy: 'retry' })
})

t.test('speaks TLS, and trusts only whom it was told to', async t => {
  const folder = join(packageRoot(), 'test/golden/tls')
  const ca = join(folder, 'cert.pem')
  const server = createTlsServer(
    { cert: readFileSync(ca), key: readFileSync(join(folder, 'key.pem')) },
    (request, response) => request.resume().on('end', () => protobuf(response, 200)),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `https://127.0.0.1:${(server.address() as { port: number }).port}`
  const trusting = await exporterOf(t, { endpoint, tls: { ca_file: ca } })
  await trusting.send(spans(1))
  const careless = await exporterOf(t, { endpoint, tls: { insecure_skip_verify: true } })
  await careless.send(spans(1))
  const strict = await exporterOf(t, { endpoint })
  t.match(await failureOf(strict.send(spans(1))), { remedy: 'retry', message: /certificate/ })
})

t.test('reads Retry-After in both forms', t => {
  const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0)
  t.equal(parseRetryAfter('120', nowMs), 120_000)
  t.equal(parseRetryAfter('0', nowMs), 0)
  t.equal(parseRetryAfter('Thu, 01 Jan 2026 12:00:30 GMT', nowMs), 30_000)
  t.equal(parseRetryAfter('Thu, 01 Jan 2026 11:00:00 GMT', nowMs), 0, 'a date that has passed')
  for (const text of [undefined, '', 'soon', '-5', '1e3']) t.equal(parseRetryAfter(text, nowMs), undefined)
  t.end()
})

t.test('names the key when no endpoint is written', async t => {
  const config = (exporter: string) => `
    receivers: { otlp: { protocols: { http: } } }
    exporters: { otlp_http: ${exporter} }
    service: { pipelines: { traces: { receivers: [otlp], exporters: [otlp_http] } } }`
  await t.rejects(configFrom(config('{}'), [otlp, otlpHttp]), /exporters\.otlp_http\.endpoint is not set/)
  await t.resolves(configFrom(config('{ traces_endpoint: "http://a:1/b" }'), [otlp, otlpHttp]))
})
