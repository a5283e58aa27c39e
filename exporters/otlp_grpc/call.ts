import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { inflate } from '../../formats/otlp/compression.ts'
import { collectFrame, decodeGrpcMessage } from '../../formats/otlp/grpc-framing.ts'
import { decodeStatus, grpcCode, type Status } from '../../formats/otlp/status.ts'
import { countStream } from './connection.ts'

/** How a call ended; `message` is there where the status is OK. */
export interface CallResult {
  readonly status: Status
  readonly message: Uint8Array
}

/**
 * One unary call (gRPC over HTTP/2). Never rejects: what goes wrong with the connection or the stream is a status too, as gRPC's
 * statuscodes.md and http-grpc-status-mapping.md have it. `frame` is the message with its prefix, in pieces.
 */
export function unaryCall(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  frame: readonly Uint8Array[],
  options: { readonly cancelled: AbortSignal; readonly maximumReplyBytes: number },
): Promise<CallResult> {
  return new Promise(resolve => {
    const reply: Reply = { headers: {}, trailers: undefined, isTooLarge: false, error: undefined }
    const collector = collectFrame(options.maximumReplyBytes)
    const stream = openStream(session, headers)
    if (!stream) {
      resolve(failure(grpcCode.unavailable, 'the connection has just been closed'))
      return
    }
    countStream(session, 1)
    const cancel = () => {
      stream.close(constants.NGHTTP2_CANCEL)
      stream.destroy() // close alone waits until what was written has left, which on a dead connection is never
    }
    stream.on('response', (head: Headers) => (reply.headers = head))
    stream.on('trailers', (trailers: Headers) => (reply.trailers = trailers))
    stream.on('data', (chunk: Buffer) => {
      // What comes with another HTTP status is some proxy's page, not a message.
      if (reply.isTooLarge || reply.headers[':status'] !== 200) return
      if (collector.add(chunk) === undefined) return
      reply.isTooLarge = true
      cancel()
    })
    stream.on('error', (error: Error) => (reply.error = error))
    stream.once('close', () => {
      countStream(session, -1)
      options.cancelled.removeEventListener('abort', cancel)
      resultOf(reply, stream.rstCode, collector, options.maximumReplyBytes).then(resolve, () =>
        resolve(failure(grpcCode.internal, 'the reply cannot be read')),
      )
    })
    if (options.cancelled.aborted) cancel()
    else options.cancelled.addEventListener('abort', cancel, { once: true })
    stream.cork()
    for (const piece of frame) stream.write(piece)
    stream.end()
  })
}

/** undefined: the connection ended between its choice and now. */
function openStream(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
): ClientHttp2Stream | undefined {
  try {
    return session.request(headers)
  } catch (error) {
    if (session.closed || session.destroyed) return undefined
    throw error
  }
}

type Headers = IncomingHttpHeaders & IncomingHttpStatusHeader

interface Reply {
  headers: Headers
  trailers: Headers | undefined
  isTooLarge: boolean
  error: Error | undefined
}

const nothing = new Uint8Array(0)

function failure(code: number, message: string): CallResult {
  return { status: { code, message }, message: nothing }
}

async function resultOf(
  { headers, trailers, isTooLarge, error }: Reply,
  rstCode: number | undefined,
  collector: ReturnType<typeof collectFrame>,
  maximumReplyBytes: number,
): Promise<CallResult> {
  // Not RESOURCE_EXHAUSTED, which is the other side's word for a request that is too large.
  if (isTooLarge) return failure(grpcCode.internal, `the reply is larger than ${maximumReplyBytes} bytes`)
  const last = trailers?.['grpc-status'] === undefined ? headers : trailers
  if (last['grpc-status'] === undefined) return withoutStatus(headers, rstCode, error)
  const status = statusOf(last)
  if (status.code !== grpcCode.ok) return { status, message: nothing }
  const frame = collector.finish()
  if (typeof frame === 'string') return { status, message: unreadable }
  if (!frame.isCompressed) return { status, message: frame.bytes }
  const coding = headers['grpc-encoding'] === 'deflate' ? 'deflate' : 'gzip'
  return { status, message: await inflate(frame.bytes, [coding], maximumReplyBytes) }
}

/** No protobuf: the caller finds that the reply to what was accepted is no OTLP. */
const unreadable = Uint8Array.of(0xff)

function statusOf(headers: IncomingHttpHeaders): Status {
  const code = Number(headers['grpc-status'])
  const message = decodeGrpcMessage(String(headers['grpc-message'] ?? ''))
  const details = headers['grpc-status-details-bin']
  const decoded = typeof details === 'string' ? decodeStatus(Buffer.from(details, 'base64')) : undefined
  return {
    code: Number.isInteger(code) ? code : grpcCode.unknown,
    message,
    ...(decoded?.retryAfterMs !== undefined && { retryAfterMs: decoded.retryAfterMs }),
  }
}

const httpCodes: Readonly<Record<number, number>> = {
  400: grpcCode.internal,
  401: grpcCode.unauthenticated,
  403: grpcCode.permissionDenied,
  404: grpcCode.unimplemented,
  429: grpcCode.unavailable,
  502: grpcCode.unavailable,
  503: grpcCode.unavailable,
  504: grpcCode.unavailable,
}

/** The stream or the connection ended before a status came. */
function withoutStatus(headers: Headers, rstCode: number | undefined, error: Error | undefined): CallResult {
  const httpStatus = headers[':status']
  if (httpStatus !== undefined && httpStatus !== 200) {
    return failure(httpCodes[httpStatus] ?? grpcCode.unknown, `HTTP ${httpStatus} instead of a gRPC reply`)
  }
  switch (rstCode) {
    case constants.NGHTTP2_CANCEL:
      return failure(grpcCode.cancelled, error?.message ?? 'the call was cancelled')
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return failure(grpcCode.resourceExhausted, 'the other side asks for calm')
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return failure(grpcCode.permissionDenied, 'the connection is not secure enough for the other side')
    default:
      // REFUSED_STREAM, or a connection that broke: nobody knows whether the request was read. OTLP has it sent again.
      return failure(grpcCode.unavailable, error?.message ?? 'the connection ended before the reply')
  }
}
