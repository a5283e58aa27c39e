import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { encodeFrame, encodeGrpcMessage } from '../../formats/otlp/grpc-framing.ts'
import { encodeStatus, type Status } from '../../formats/otlp/status.ts'

const head: OutgoingHttpHeaders = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip,deflate',
}

/** Answers a call with its message. Runs once a call: what does not differ is made once. */
export function succeed(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (stream.destroyed || stream.headersSent) return
  stream.respond(head, withTrailers)
  stream.on('wantTrailers', sendOk)
  stream.end(message.length === 0 ? emptyFrame : encodeFrame(message, false))
}

const withTrailers = { waitForTrailers: true }
const okTrailers: OutgoingHttpHeaders = { 'grpc-status': '0' }
/** Full success of every signal. */
const emptyFrame = encodeFrame(new Uint8Array(0), false)

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(okTrailers)
}

/** Answers a call with a status, in trailers alone. Details go along where the status has any. */
export function fail(stream: ServerHttp2Stream, status: Status): void {
  if (stream.destroyed || stream.headersSent) return
  const hasDetails = status.retryAfterMs !== undefined || status.violations !== undefined
  const headers: OutgoingHttpHeaders = {
    ...head,
    'grpc-status': String(status.code),
    'grpc-message': encodeGrpcMessage(status.message),
    ...(hasDetails && {
      'grpc-status-details-bin': Buffer.from(encodeStatus(status)).toString('base64').replace(/=+$/, ''),
    }),
  }
  stream.respond(headers, { endStream: true })
  // The sender may still be sending: what it sends is of no use any more.
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR)
}
