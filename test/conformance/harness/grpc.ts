import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type SessionOptions,
} from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeWith } from '../../helpers/otlp-oracle.ts'

export interface CallReply {
  readonly httpStatus: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders | undefined
  /** What came as DATA. */
  readonly body: Buffer
  /** grpc-status, from trailers or from a response of trailers only; -1 without one. */
  readonly code: number
  readonly message: string
  /** The Status in grpc-status-details-bin. */
  readonly details: StatusFields | undefined
  readonly rstCode: number
}

export interface StatusFields {
  readonly code?: number
  readonly message?: string
  readonly details?: readonly StatusDetail[]
}

export interface Calling {
  readonly path: string
  readonly headers?: OutgoingHttpHeaders
  /** Written as DATA, each on its own. */
  readonly data?: readonly Uint8Array[]
  /** Between the writes, ms. */
  readonly pauseMs?: number
  /** false leaves the request open. */
  readonly ends?: boolean
}

/** As protobufjs and as the JSON mapping of Any has it. */
type StatusDetail =
  { readonly typeUrl: string; readonly value: string } | { readonly '@type': string; readonly value: string }

export function frame(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

export async function openSession(
  address: string,
  options: SessionOptions = {},
): Promise<ClientHttp2Session> {
  const session = connect(`http://${address}`, options)
  session.on('error', () => undefined)
  await once(session, 'connect')
  return session
}

/** A unary call as gRPC's HTTP/2 document has it, but for what the test changes. */
export async function call(session: ClientHttp2Session, calling: Calling): Promise<CallReply> {
  const { path, data = [], pauseMs = 0, ends = true } = calling
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...calling.headers,
  })
  let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {}
  let trailers: IncomingHttpHeaders | undefined
  const chunks: Buffer[] = []
  stream.on('response', (head: typeof headers) => (headers = head))
  stream.on('trailers', (found: IncomingHttpHeaders) => (trailers = found))
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => undefined)
  const closed = once(stream, 'close')
  for (const [index, chunk] of data.entries()) {
    if (stream.destroyed) break
    if (pauseMs > 0 && index > 0) await sleep(pauseMs)
    stream.write(chunk)
  }
  if (ends) stream.end()
  else void once(stream, 'end').then(() => stream.close())
  await closed
  const last = trailers?.['grpc-status'] === undefined ? headers : trailers
  const details = last['grpc-status-details-bin']
  return {
    httpStatus: headers[':status'] ?? 0,
    headers,
    trailers,
    body: Buffer.concat(chunks),
    code: Number(last['grpc-status'] ?? -1),
    message: decodeURIComponent(String(last['grpc-message'] ?? '')),
    details:
      typeof details === 'string'
        ? (decodeWith('Status', Buffer.from(details, 'base64')) as StatusFields)
        : undefined,
    rstCode: stream.rstCode,
  }
}
