import grpc from '@grpc/grpc-js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { FullspanError } from '../../../core/errors.ts'
import { SegmentCollection, SegmentObject } from '../../../formats/skywalking/schema.ts'
import type { Span } from '../../../model/span.ts'
import skywalking from '../../../receivers/skywalking/index.ts'
import { otherCalls } from '../../../receivers/skywalking/services.ts'
import { type ReceiverBench, receiverBench } from '../../helpers/context.ts'

type Options = Parameters<typeof receiverBench>[0]

async function start(options?: Options) {
  const [grpcPort, httpPort] = [await freePort(), await freePort()]
  const bench = receiverBench(options)
  const intakes$ = await skywalking.create(
    {
      protocols: {
        grpc: { endpoint: `127.0.0.1:${grpcPort}`, max_recv_msg_size_mib: 50 },
        http: { endpoint: `127.0.0.1:${httpPort}`, max_request_body_size: 1024 * 1024 },
      },
    },
    bench.context,
  )
  const done = bench.run(intakes$)
  const stop = async () => {
    bench.stop()
    await done
  }
  return { bench, stop, grpcPort, http: `http://127.0.0.1:${httpPort}` }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return address && typeof address === 'object' ? address.port : 0
}

function spansOf(bench: ReceiverBench): Span[] {
  return bench.intakes.flatMap(({ batch }) => batch.groups.flatMap(({ spans }) => spans))
}

function segment(id: string, name = 'GET:/') {
  return {
    traceId: `trace-${id}`,
    traceSegmentId: `segment-${id}`,
    service: 'shop',
    serviceInstance: 'shop-1',
    spans: [
      {
        spanId: 0,
        parentSpanId: -1,
        startTime: 1000,
        endTime: 2000,
        operationName: name,
        spanType: 0,
        spanLayer: 3,
      },
    ],
  }
}

function encode(value: ReturnType<typeof segment>): Buffer {
  return Buffer.from(SegmentObject.encode(SegmentObject.fromObject(value)).finish())
}

const asIs = (bytes: Buffer) => bytes

function call(port: number, path: string, messages: readonly Buffer[], isStream: boolean): Promise<Buffer> {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  return new Promise<Buffer>((resolve, reject) => {
    const done: grpc.requestCallback<Buffer> = (error, reply) =>
      error ? reject(error) : resolve(reply ?? Buffer.alloc(0))
    if (!isStream) client.makeUnaryRequest(path, asIs, asIs, messages[0] ?? Buffer.alloc(0), done)
    else {
      const stream = client.makeClientStreamRequest(path, asIs, asIs, done)
      for (const message of messages) stream.write(message)
      stream.end()
    }
  }).finally(() => client.close())
}

t.test(
  'takes segments by stream, with and without the package in the name, and answers at the end',
  async t => {
    const { bench, stop, grpcPort } = await start()
    const messages = [encode(segment('a')), encode(segment('b'))]
    t.equal(
      (await call(grpcPort, '/skywalking.v3.TraceSegmentReportService/collect', messages, true)).length,
      0,
    )
    await call(grpcPort, '/TraceSegmentReportService/collect', [encode(segment('c'))], true)
    t.strictSame(
      spansOf(bench).map(span => span.text('sw8.segment_id')),
      ['segment-a', 'segment-b', 'segment-c'],
    )
    t.match(bench.peers[0], /^127\.0\.0\.1:\d+$/)
    await stop()
  },
)

t.test('takes a collection, and of a broken one what is whole', async t => {
  const { bench, stop, grpcPort } = await start()
  const collection = SegmentCollection.fromObject({
    segments: [encode(segment('a')), Buffer.from([10, 200]), encode(segment('b'))],
  })
  const bytes = Buffer.from(SegmentCollection.encode(collection).finish())
  await call(grpcPort, '/skywalking.v3.TraceSegmentReportService/collectInSync', [bytes], false)
  t.equal(spansOf(bench).length, 2)
  t.strictSame(bench.refused, [{ signal: 'traces', items: 1, reason: 'broken segment' }])
  await t.rejects(
    call(grpcPort, '/skywalking.v3.TraceSegmentReportService/collectInSync', [Buffer.from([10, 200])], false),
    { code: grpc.status.INVALID_ARGUMENT },
  )
  await stop()
})

t.test('answers everything else that agents call', async t => {
  const { stop, grpcPort } = await start()
  for (const [service, methods] of Object.entries(otherCalls)) {
    for (const [method, kind] of Object.entries(methods)) {
      const reply = await call(grpcPort, `/${service}/${method}`, [Buffer.from('any')], kind === 'stream')
      t.equal(reply.length, 0, `${service}/${method}`)
    }
  }
  await stop()
})

t.test('while there is no room the stream waits, and nothing is lost', async t => {
  let refusals = 3
  const { bench, stop, grpcPort } = await start({
    answer: () =>
      refusals-- > 0 ? { kind: 'refused', reason: 'full', retryAfterMs: 5 } : { kind: 'accepted' },
  })
  await call(
    grpcPort,
    '/skywalking.v3.TraceSegmentReportService/collect',
    [encode(segment('a')), encode(segment('b'))],
    true,
  )
  t.equal(bench.intakes.length, 5, 'three times refused, two accepted')
  t.strictSame(bench.refused, [])
  await stop()
})

t.test('takes JSON, one or many, compressed or not, with enums by name', async t => {
  const { bench, stop, http } = await start()
  const post = (path: string, body: string | Buffer, headers = {}) =>
    fetch(http + path, { method: 'POST', body, headers })
  const one = {
    ...segment('a'),
    spans: [{ ...segment('a').spans[0], spanType: 'Exit', spanLayer: 'Http', peer: null, startTime: '1000' }],
  }
  t.equal((await post('/v3/segment', JSON.stringify(one))).status, 200)
  const many = gzipSync(JSON.stringify([segment('b'), segment('c')]))
  t.equal((await post('/v3/segments', many, { 'content-encoding': 'gzip' })).status, 200)
  t.equal(spansOf(bench).length, 3)
  t.equal(spansOf(bench)[0]?.kind, 3)
  t.equal((await post('/v3/management/keepAlive', '{}')).status, 200)
  const broken = await post('/v3/segments', JSON.stringify([{}, segment('d')]))
  t.equal(broken.status, 400)
  t.match(await broken.text(), /Segment 0 was refused: a segment needs traceId/)
  t.equal(spansOf(bench).length, 4, 'the other one was taken')
  t.equal((await post('/v3/segment', '{')).status, 400)
  t.equal((await post('/v3/segment', 'x'.repeat(2 * 1024 * 1024))).status, 413)
  t.equal((await post('/other', '')).status, 404)
  t.equal((await fetch(`${http}/v3/segment`)).headers.get('allow'), 'POST')
  await stop()
})

t.test('a port that is taken fails the start, and says which and what to do', async t => {
  const { stop, grpcPort } = await start()
  const config = { protocols: { grpc: { endpoint: `127.0.0.1:${grpcPort}`, max_recv_msg_size_mib: 50 } } }
  const failure = await Promise.resolve(skywalking.create(config, receiverBench().context)).catch(
    (error: unknown) => error,
  )
  t.ok(failure instanceof FullspanError)
  t.match(
    String(failure),
    /cannot listen on 127\.0\.0\.1:\d+: the port is taken.*receivers\.skywalking\.protocols\.grpc\.endpoint/,
  )
  await stop()
})

t.test('the real Node agent delivers without an error in its log', async t => {
  const { bench, stop, grpcPort } = await start()
  const program = `
    const { default: agent } = require('skywalking-backend-js')
    agent.start({ serviceName: 'real', serviceInstance: 'real-1', collectorAddress: '127.0.0.1:${grpcPort}' })
    const http = require('http')
    const server = http.createServer((q, r) => r.end('ok')).listen(0, '127.0.0.1', () => {
      const request = http.request({ port: server.address().port, host: '127.0.0.1', path: '/buy' }, r => r.resume())
      request.end()
    })
    setTimeout(() => agent.flush().finally(() => process.exit(0)), 4000)`
  const agent = spawn(process.execPath, ['-e', program], {
    cwd: join(import.meta.dirname, '../../../..'),
    env: { ...process.env, SW_AGENT_LOGGING_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  agent.stdout.on('data', chunk => (output += String(chunk)))
  agent.stderr.on('data', chunk => (output += String(chunk)))
  const ended = once(agent, 'exit')
  await Promise.race([ended, sleep(20_000, undefined, { ref: false })])
  agent.kill('SIGKILL')
  const spans = spansOf(bench)
  t.notMatch(output, /level: 'error'|Failed/)
  t.ok(spans.length >= 2, 'an Exit and an Entry span')
  const entry = spans.find(span => span.text('sw8.span_type') === 'Entry')
  const exit = spans.find(span => span.text('sw8.span_type') === 'Exit')
  t.equal(entry?.parentSpanId, exit?.spanId, 'joined by sw8')
  t.equal(entry?.traceId, exit?.traceId)
  t.type(entry?.number('network.peer.port'), 'number')
  await stop()
})
