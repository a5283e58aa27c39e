import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Logger } from '../../core/component.ts'
import { BadCodingError, type Coding, inflate, TooLargeError } from '../../formats/otlp/compression.ts'
import { contentTypes, type Encoding, encodingOf } from '../../formats/otlp/encoding.ts'
import { encodeReply } from '../../formats/otlp/reply.ts'
import { encodeStatus, grpcCode, type Status } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { type Cors, type CorsSettings, createCors } from './cors.ts'
import { discardRest, readBody } from './http-body.ts'
import { createFaults, rawAnswer } from './http-faults.ts'
import { badRequest, type Expects, judgeHead, type Refusal, tooLarge } from './http-head.ts'
import type { Outcome, TakeIn } from './intake.ts'
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
  const faults = createFaults()
  const take = (request: IncomingMessage, response: ServerResponse, expects: Expects = 'nothing') => {
    faults.watch(request, response)
    answer(exchange, request, response, expects).catch((error: unknown) => {
      options.logger.error({ err: error }, 'an OTLP/HTTP request failed')
      if (!response.headersSent)
        replyStatus(exchange, response, 500, 'json', { code: grpcCode.internal, message: 'internal error' })
    })
  }
  const settings = { requireHostHeader: false } // answered here, with a Status
  const server = options.tls
    ? createTlsServer({ ...options.tls, ...settings }, take)
    : createServer(settings, take)
  server.keepAliveTimeout = keepAliveMs
  server.on('checkContinue', (request, response) => take(request, response, 'continue'))
  server.on('checkExpectation', (request, response) => take(request, response, 'something else'))
  server.on('connect', refuseTunnel)
  server.on('clientError', faults.answer)
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

async function answer(
  exchange: Exchange,
  request: IncomingMessage,
  response: ServerResponse,
  expects: Expects,
): Promise<void> {
  const { maximumBytes } = exchange
  if (exchange.answerCors(request, response)) return
  const head = judgeHead(request, exchange, expects)
  const refuse = ({ httpStatus, status, headers }: Refusal) => {
    // Who was not told to go on sends either the body or the next request: nobody can know.
    const isLast = expects !== 'nothing' && !request.complete
    const encoding = encodingOf(request.headers['content-type']) ?? 'json'
    const all = isLast ? { ...headers, connection: 'close' } : headers
    replyStatus(exchange, response, httpStatus, encoding, status, all)
    if (!isLast) discardRest(request, maximumBytes)
  }
  if ('httpStatus' in head) {
    refuse(head)
    return
  }
  if (expects === 'continue') response.writeContinue()
  const body = await readBody(request, maximumBytes)
  if (body === 'aborted') return
  const bytes =
    body === 'too large' ? tooLarge(maximumBytes) : await inflateBody(body, head.codings, maximumBytes)
  if ('httpStatus' in bytes) {
    refuse(bytes)
    return
  }
  const { signal, encoding } = head
  await takeIn(exchange, { signal, encoding, bytes, peer: peerOf(request.socket) }, response)
}

async function inflateBody(
  body: Uint8Array,
  codings: readonly Coding[],
  maximumBytes: number,
): Promise<Uint8Array | Refusal> {
  if (codings.length === 0) return body
  try {
    return await inflate(body, codings, maximumBytes)
  } catch (error) {
    if (error instanceof TooLargeError) return tooLarge(maximumBytes)
    if (error instanceof BadCodingError) return badRequest(`${error.message}.`)
    throw error
  }
}

async function takeIn(
  exchange: Exchange,
  request: Parameters<TakeIn>[0],
  response: ServerResponse,
): Promise<void> {
  exchange.inHand++
  let outcome: Outcome
  try {
    outcome = await exchange.takeIn(request)
  } finally {
    exchange.inHand--
  }
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
  // Head and no body is one write of a text, which costs half as much as two pieces.
  if (body.length === 0) response.end()
  else response.end(body)
}

/** CONNECT wants a tunnel. */
function refuseTunnel({ headers }: IncomingMessage, socket: Duplex): void {
  const status = { code: grpcCode.unimplemented, message: 'CONNECT is not allowed here, only POST.' }
  const encoding = encodingOf(headers['content-type']) ?? 'json'
  socket.end(rawAnswer('405 Method Not Allowed', encoding, status, 'allow: POST'))
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
