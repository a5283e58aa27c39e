import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Logger } from '../../core/component.ts'
import { BadCodingError, codingsOf, inflate, TooLargeError } from '../../formats/otlp/compression.ts'
import { contentTypes, type Encoding, encodingOf } from '../../formats/otlp/encoding.ts'
import { encodeReply } from '../../formats/otlp/reply.ts'
import { encodeStatus, grpcCode, type Status } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { type Cors, type CorsSettings, createCors } from './cors.ts'
import { discardRest, readBody } from './http-body.ts'
import type { TakeIn } from './intake.ts'
import { listen, type OpenServer, peerOf } from './listen.ts'
import type { ServerTls } from './tls.ts'

export interface HttpOptions {
  readonly endpoint: string
  /** Config key of the endpoint, for what cannot be bound. */
  readonly key: string
  readonly maximumBytes: number
  readonly cors: CorsSettings | undefined
  readonly tls: ServerTls | undefined
  /** Signal by path. */
  readonly paths: ReadonlyMap<string, Signal>
  readonly takeIn: TakeIn
  readonly logger: Logger
}

/** OTLP/HTTP 1.11 on HTTP/1.1: protobuf and JSON, told apart by Content-Type. */
export async function openHttp(options: HttpOptions): Promise<OpenServer> {
  const exchange: Exchange = { ...options, answerCors: createCors(options.cors), isClosing: false, inHand: 0 }
  const take = (request: IncomingMessage, response: ServerResponse) => {
    answer(exchange, request, response).catch((error: unknown) => {
      options.logger.error({ err: error }, 'an OTLP/HTTP request failed')
      if (!response.headersSent)
        replyStatus(exchange, response, 500, 'json', { code: grpcCode.internal, message: 'internal error' })
    })
  }
  const server = options.tls ? createTlsServer(options.tls, take) : createServer(take)
  server.keepAliveTimeout = keepAliveMs
  server.on('clientError', answerBroken)
  const address = await listen(server, options.endpoint, options.key)
  return { address, close: () => close(server, exchange) }
}

/** Longer than the pauses of senders that export once a minute, so that they need not connect anew. */
const keepAliveMs = 90_000
/** How long uploads that have begun may take while stopping, from the last answer. */
const closingMs = 2000

interface Exchange extends HttpOptions {
  readonly answerCors: Cors
  isClosing: boolean
  /** Requests that wait for the pipelines' answer. */
  inHand: number
}

async function answer(exchange: Exchange, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const encoding = encodingOf(request.headers['content-type'])
  const refuse = (httpStatus: number, status: Status, headers?: Readonly<Record<string, string>>) => {
    replyStatus(exchange, response, httpStatus, encoding ?? 'json', status, headers)
    discardRest(request, exchange.maximumBytes)
  }
  if (exchange.answerCors(request, response)) return
  const path = (request.url ?? '').split('?', 1)[0]!
  const signal = exchange.paths.get(path)
  if (signal === undefined) {
    const known = [...exchange.paths.keys()].join(', ')
    refuse(404, { code: grpcCode.notFound, message: `There is no ${path} here, only: ${known}.` })
    return
  }
  if (request.method !== 'POST') {
    const message = `${request.method} is not allowed here, only POST.`
    refuse(405, { code: grpcCode.unimplemented, message }, { allow: 'POST' })
    return
  }
  if (!encoding) {
    const message = `Content-Type must be ${contentTypes.protobuf} or ${contentTypes.json}.`
    refuse(415, { code: grpcCode.invalidArgument, message }, { accept: acceptedTypes })
    return
  }
  const codings = codingsOf(request.headers['content-encoding'])
  if (!codings) {
    const message = 'Content-Encoding must be gzip, deflate or identity.'
    refuse(415, { code: grpcCode.invalidArgument, message }, { 'accept-encoding': 'gzip, deflate, identity' })
    return
  }
  if (exchange.isClosing) {
    refuse(503, { code: grpcCode.unavailable, message: 'shutting down' }, { 'retry-after': '1' })
    return
  }
  const body = await readBody(request, exchange.maximumBytes)
  if (body === 'aborted') return
  if (body === 'too large') {
    refuse(413, tooLarge(exchange))
    return
  }
  const bytes = await inflateBody(body, codings, exchange.maximumBytes)
  if (bytes instanceof BadCodingError) {
    refuse(400, badRequest(`${bytes.message}.`))
    return
  }
  if (bytes instanceof TooLargeError) {
    refuse(413, tooLarge(exchange))
    return
  }
  await takeIn(exchange, { signal, encoding, bytes, peer: peerOf(request.socket) }, response)
}

const acceptedTypes = `${contentTypes.protobuf}, ${contentTypes.json}`

async function inflateBody(
  body: Uint8Array,
  codings: NonNullable<ReturnType<typeof codingsOf>>,
  maximumBytes: number,
): Promise<Uint8Array | BadCodingError | TooLargeError> {
  if (codings.length === 0) return body
  try {
    return await inflate(body, codings, maximumBytes)
  } catch (error) {
    if (error instanceof BadCodingError || error instanceof TooLargeError) return error
    throw error
  }
}

async function takeIn(
  exchange: Exchange,
  request: Parameters<TakeIn>[0],
  response: ServerResponse,
): Promise<void> {
  exchange.inHand++
  const outcome = await exchange.takeIn(request).finally(() => exchange.inHand--)
  const { encoding, signal } = request
  if (outcome.kind === 'taken') {
    reply(exchange, response, 200, encoding, encodeReply(signal, encoding, outcome.partial))
  } else if (outcome.kind === 'invalid') {
    const { message, violations } = outcome
    const status = { code: grpcCode.invalidArgument, message, violations }
    replyStatus(exchange, response, 400, encoding, status)
  } else {
    const { reason, retryAfterMs } = outcome
    const status = { code: grpcCode.unavailable, message: reason, retryAfterMs }
    const seconds = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
    replyStatus(exchange, response, 503, encoding, status, { 'retry-after': seconds })
  }
}

function tooLarge({ maximumBytes }: Exchange): Status {
  const message = `The body is larger than ${maximumBytes} bytes (max_request_body_size), as sent or inflated.`
  return { code: grpcCode.resourceExhausted, message }
}

function badRequest(message: string): Status {
  return { code: grpcCode.invalidArgument, message, violations: [message] }
}

/** Every 4xx and 5xx has a google.rpc.Status in the request's encoding (OTLP 1.11 "Failures"). */
function replyStatus(
  exchange: Exchange,
  response: ServerResponse,
  httpStatus: number,
  encoding: Encoding,
  status: Status,
  headers?: Readonly<Record<string, string>>,
): void {
  reply(exchange, response, httpStatus, encoding, encodeStatus(status, encoding), headers)
}

function reply(
  { isClosing }: Exchange,
  response: ServerResponse,
  httpStatus: number,
  encoding: Encoding,
  body: Uint8Array,
  headers?: Readonly<Record<string, string>>,
): void {
  if (response.destroyed) return
  response.writeHead(httpStatus, {
    'content-type': contentTypes[encoding],
    'content-length': body.length,
    ...(isClosing && { connection: 'close' }),
    ...headers,
  })
  response.end(body)
}

/** What is not HTTP at all, or too slow, or has too large a head, still gets a Status. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const [line, code] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', grpcCode.resourceExhausted]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', grpcCode.deadlineExceeded]
        : ['400 Bad Request', grpcCode.invalidArgument]
  const body = Buffer.from(
    encodeStatus({ code, message: 'The request is not valid HTTP.' }, 'json'),
  ).toString()
  socket.end(
    `HTTP/1.1 ${line}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** Idle connections close at once, others after their answer, uploads that do not end after `closingMs`. */
async function close(server: Server, exchange: Exchange): Promise<void> {
  exchange.isClosing = true
  await new Promise<void>(resolve => {
    let quietSinceMs = Date.now()
    const sweep = setInterval(() => {
      if (exchange.inHand > 0) quietSinceMs = Date.now()
      if (Date.now() - quietSinceMs > closingMs) server.closeAllConnections()
      else server.closeIdleConnections()
    }, 50)
    server.close(() => {
      clearInterval(sweep)
      resolve()
    })
    server.closeIdleConnections()
  })
}
