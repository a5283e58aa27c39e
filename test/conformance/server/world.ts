import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Session } from 'node:http2'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { decodeWith } from '../../helpers/otlp-oracle.ts'
import { type Fullspan, startFullspan } from '../harness/fullspan.ts'
import { type Calling, call, type CallReply, frame, openSession, type StatusFields } from '../harness/grpc.ts'
import { type Reply, send, type Sending } from '../harness/http.ts'
import { newMarker, protobufRequest, type SignalInfo, traces } from '../harness/messages.ts'
import { type Delivery, openSink, type Sink } from '../harness/sink.ts'

/** Addresses of one receiver. */
export interface Server {
  readonly http: string
  readonly grpc: string
  /** A gRPC connection that checks share. */
  readonly session: ClientHttp2Session
}

/** A running Fullspan as senders and its back end see it. */
export interface ServerWorld {
  /** Defaults, all signals. */
  readonly main: Server
  /** Takes requests of at most 1 MiB. */
  readonly small: Server
  /** Its pipeline is full. */
  readonly full: Server
  /** Traces only, by HTTP on `/in/spans`. */
  readonly few: Server
  readonly sink: Sink
  readonly fullspan: Fullspan
  close(): Promise<void>
}

export const smallBytes = 1024 * 1024

const allPipelines = (receiver: string, exporter: string, name: string) =>
  Object.fromEntries(
    ['traces', 'metrics', 'logs', 'profiles'].map(signal => [
      `${signal}/${name}`,
      { receivers: [receiver], exporters: [exporter] },
    ]),
  )

export async function openServerWorld(): Promise<ServerWorld> {
  const sink = await openSink()
  const silent = createServer(socket => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const endpoint = '127.0.0.1:0'
  const fullspan = await startFullspan({
    receivers: {
      'otlp/main': { protocols: { http: { endpoint }, grpc: { endpoint } } },
      'otlp/small': {
        protocols: {
          http: { endpoint, max_request_body_size: smallBytes },
          grpc: { endpoint, max_recv_msg_size_mib: 1 },
        },
      },
      'otlp/full': { protocols: { http: { endpoint }, grpc: { endpoint } } },
      'otlp/few': {
        protocols: { http: { endpoint, traces_url_path: '/in/spans' }, grpc: { endpoint } },
      },
    },
    exporters: {
      // One consumer keeps the order, so that what has not come before a later request will not come.
      'otlp_http/sink': {
        endpoint: sink.url,
        compression: 'none',
        sending_queue: { num_consumers: 1, queue_size: 10_000 },
      },
      'otlp_http/silent': {
        endpoint: silentUrl,
        timeout: '10m',
        sending_queue: { num_consumers: 1, queue_size: 1 },
      },
    },
    pipelines: {
      ...allPipelines('otlp/main', 'otlp_http/sink', 'main'),
      ...allPipelines('otlp/small', 'otlp_http/sink', 'small'),
      ...allPipelines('otlp/full', 'otlp_http/silent', 'full'),
      'traces/few': { receivers: ['otlp/few'], exporters: ['otlp_http/sink'] },
    },
  })
  const sessions: ClientHttp2Session[] = []
  const server = async (name: string): Promise<Server> => {
    const grpc = fullspan.address(`otlp/${name}`, 'gRPC')
    const session = await openSession(grpc)
    sessions.push(session)
    return { http: fullspan.address(`otlp/${name}`, 'HTTP'), grpc, session }
  }
  const world: ServerWorld = {
    main: await server('main'),
    small: await server('small'),
    full: await server('full'),
    few: await server('few'),
    sink,
    fullspan,
    async close() {
      for (const session of sessions) session.destroy()
      fullspan.child.kill('SIGINT')
      fullspan.child.kill('SIGINT')
      await once(fullspan.child, 'close')
      silent.close()
      await sink.close()
    },
  }
  await fill(world)
  return world
}

/** Until the queue of its exporter is full, which does not answer. */
async function fill({ full }: ServerWorld): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const { status } = await postProtobuf(full, traces, protobufRequest(traces, newMarker()))
    if (status === 503) return
  }
  assert.fail('the pipeline does not become full')
}

export const protobufType = 'application/x-protobuf'
export const jsonType = 'application/json'
export type Encoding = 'protobuf' | 'json'
export const typeOf = (encoding: Encoding) => (encoding === 'json' ? jsonType : protobufType)

type Headers = Sending['headers']

export function postProtobuf(
  { http }: Server,
  { path }: SignalInfo,
  body: Uint8Array | string,
  headers: Headers = {},
): Promise<Reply> {
  return send(http, { path, body, headers: { 'content-type': protobufType, ...headers } })
}

export function postJson(
  { http }: Server,
  { path }: SignalInfo,
  body: Uint8Array | string,
  headers: Headers = {},
): Promise<Reply> {
  return send(http, { path, body, headers: { 'content-type': jsonType, ...headers } })
}

/** A gRPC call with one message. */
export function callGrpc(
  { session }: Server,
  { grpcPath }: SignalInfo,
  message: Uint8Array,
  more: Partial<Calling> & { readonly flag?: number } = {},
): Promise<CallReply> {
  return call(session, { path: grpcPath, data: [frame(message, more.flag)], ...more })
}

/** Full success: 200, the encoding of the request, an empty message to the byte. */
export function assertSuccess(reply: Reply, encoding: Encoding = 'protobuf'): void {
  assert.equal(reply.status, 200, reply.body.toString('latin1'))
  assert.equal(reply.headers['content-type'], typeOf(encoding))
  assert.equal(reply.body.toString('latin1'), encoding === 'json' ? '{}' : '')
}

/** A 4xx or 5xx with a Status that says something, in this encoding. Gives back the Status. */
export function assertFailure(reply: Reply, status: number, encoding: Encoding = 'protobuf'): StatusFields {
  assert.equal(reply.status, status, reply.body.toString('latin1'))
  assert.equal(reply.headers['content-type'], typeOf(encoding))
  const fields =
    encoding === 'json'
      ? (JSON.parse(reply.body.toString()) as StatusFields)
      : (decodeWith('Status', reply.body) as StatusFields)
  assert.equal(typeof fields.message, 'string')
  assert.notEqual(fields.message, '')
  return fields
}

/** OK with an empty message to the byte. */
export function assertOk(reply: CallReply): void {
  assert.equal(reply.code, 0, reply.message)
  assert.equal(reply.httpStatus, 200)
  assert.deepEqual([...reply.body], [0, 0, 0, 0, 0])
}

export function assertCode(reply: CallReply, code: number): void {
  assert.equal(reply.code, code, reply.message)
  assert.notEqual(reply.message, '')
}

/** Fails if something with this text was delivered: a request sent after it has arrived. */
export async function assertNotDelivered({ main, sink }: ServerWorld, marker: string): Promise<void> {
  const fence = newMarker()
  const reply = await postProtobuf(main, traces, protobufRequest(traces, fence))
  assert.equal(reply.status, 200)
  await sink.find(fence)
  assert.ok(!sink.has(marker), `${marker} was delivered`)
}

/** What was delivered with this text in it, decoded by protobufjs. */
export async function delivered(
  { sink }: ServerWorld,
  { message }: SignalInfo,
  marker: string,
): Promise<object> {
  const { body }: Delivery = await sink.find(marker)
  return decodeWith(`Export${message}ServiceRequest`, body) as object
}
