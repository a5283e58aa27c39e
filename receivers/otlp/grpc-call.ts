import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { BadCodingError, type Coding, inflate, TooLargeError } from '../../formats/otlp/compression.ts'
import {
  collectFrame,
  type Frame,
  type FrameFault,
  parseGrpcTimeout,
} from '../../formats/otlp/grpc-framing.ts'
import { encodeReply } from '../../formats/otlp/reply.ts'
import { grpcCode, shorten, type Status } from '../../formats/otlp/status.ts'
import type { GrpcOptions } from './grpc.ts'
import { fail, succeed } from './grpc-reply.ts'
import type { Outcome } from './intake.ts'

export interface CallOptions extends GrpcOptions {
  readonly peer: string | undefined
}

/** Serves one unary call. Codes follow gRPC's statuscodes.md and compression.md. */
export async function serveCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  options: CallOptions,
): Promise<void> {
  const { ':method': method, 'content-type': contentType = '' } = headers
  if (method !== 'POST') {
    refuse(stream, 405, 'Calls are made by POST.', { allow: 'POST' })
    return
  }
  if (!/^application\/grpc(\+proto)?($|[ ;])/i.test(contentType)) {
    refuse(stream, 415, 'This port speaks OTLP by gRPC.')
    return
  }
  const path = headers[':path'] ?? ''
  const signal = options.paths.get(path)
  if (signal === undefined) {
    fail(stream, { code: grpcCode.unimplemented, message: `There is no method ${shorten(path)} here.` })
    return
  }
  const timer = startDeadline(stream, headers['grpc-timeout'])
  if (timer === 'malformed') return
  const frame = await receive(stream, options.maximumBytes, timer)
  if (frame === 'aborted') return
  if (typeof frame === 'string') {
    fail(stream, faultStatus(frame, options.maximumBytes))
    return
  }
  const bytes = frame.isCompressed
    ? await inflateFrame(frame.bytes, headers, options.maximumBytes)
    : frame.bytes
  if ('code' in bytes) {
    fail(stream, bytes)
    return
  }
  const outcome = await options.takeIn({ signal, encoding: 'protobuf', bytes, peer: options.peer })
  if (outcome.kind === 'taken') succeed(stream, encodeReply(signal, 'protobuf', outcome.partial))
  else fail(stream, outcomeStatus(outcome))
}

/** What is no gRPC call gets an answer of HTTP. */
function refuse(stream: ServerHttp2Stream, httpStatus: number, text: string, headers?: object): void {
  stream.respond({ ':status': httpStatus, 'content-type': 'text/plain', ...headers })
  stream.end(`${text}\n`)
  stream.resume()
}

/** Answers the call itself when its time is over, or at once where the timeout is malformed. */
function startDeadline(
  stream: ServerHttp2Stream,
  header: string | string[] | undefined,
): NodeJS.Timeout | undefined | 'malformed' {
  if (header === undefined) return undefined
  const timeoutMs = parseGrpcTimeout(String(header))
  if (timeoutMs === undefined) {
    fail(stream, { code: grpcCode.internal, message: `malformed grpc-timeout: ${shorten(String(header))}` })
    return 'malformed'
  }
  if (timeoutMs >= 2 ** 31) return undefined
  return setTimeout(
    () => fail(stream, { code: grpcCode.deadlineExceeded, message: 'the deadline of the call has passed' }),
    timeoutMs,
  )
}

/** Listeners are a good part of what a small call costs: there are no more than needed. `deadline` ends with the stream. */
function receive(
  stream: ServerHttp2Stream,
  maximumBytes: number,
  deadline: NodeJS.Timeout | undefined,
): Promise<Frame | FrameFault | 'aborted'> {
  return new Promise(resolve => {
    const collector = collectFrame(maximumBytes)
    stream.on('data', (chunk: Buffer) => {
      if (collector.add(chunk) === undefined) return
      stream.removeAllListeners('data')
      stream.resume()
      resolve('too large')
    })
    stream.on('end', () => resolve(stream.aborted ? 'aborted' : collector.finish()))
    stream.on('close', () => {
      clearTimeout(deadline)
      resolve('aborted')
    })
  })
}

function faultStatus(fault: FrameFault, maximumBytes: number): Status {
  switch (fault) {
    case 'too large':
      return tooLarge(maximumBytes)
    case 'none':
      return { code: grpcCode.unimplemented, message: 'a unary call needs a message, and none came' }
    case 'several':
      return { code: grpcCode.unimplemented, message: 'a unary call takes one message, and more came' }
    case 'cut off':
      return { code: grpcCode.internal, message: 'the message is cut off' }
    case 'bad flag':
      return { code: grpcCode.internal, message: 'the compressed flag is neither 0 nor 1' }
  }
}

/** Without RetryInfo: sending the same again cannot help (OTLP 1.11 "OTLP/gRPC Request"). */
function tooLarge(maximumBytes: number): Status {
  const message = `The message is larger than ${maximumBytes} bytes (max_recv_msg_size_mib), as sent or inflated.`
  return { code: grpcCode.resourceExhausted, message }
}

const codings: Readonly<Record<string, Coding>> = { gzip: 'gzip', deflate: 'deflate' }

async function inflateFrame(
  bytes: Uint8Array,
  headers: IncomingHttpHeaders,
  maximumBytes: number,
): Promise<Uint8Array | Status> {
  const encoding = String(headers['grpc-encoding'] ?? 'identity')
  if (encoding === 'identity') {
    return {
      code: grpcCode.internal,
      message: 'the message is marked compressed, but grpc-encoding is not set',
    }
  }
  const coding = codings[encoding]
  if (!coding) {
    return { code: grpcCode.unimplemented, message: `grpc-encoding ${shorten(encoding)} is not known here` }
  }
  try {
    return await inflate(bytes, [coding], maximumBytes)
  } catch (error) {
    if (error instanceof TooLargeError) return tooLarge(maximumBytes)
    if (error instanceof BadCodingError) return { code: grpcCode.internal, message: error.message }
    throw error
  }
}

function outcomeStatus(outcome: Exclude<Outcome, { kind: 'taken' }>): Status {
  if (outcome.kind === 'invalid') {
    const { message, violations } = outcome
    return { code: grpcCode.invalidArgument, message, violations }
  }
  return { code: grpcCode.unavailable, message: outcome.reason, retryAfterMs: outcome.retryAfterMs }
}
