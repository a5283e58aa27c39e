import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { encodeFrame } from '../../formats/otlp/grpc-framing.ts'
import { tracePaths } from './messages.ts'

export function openGrpcSession(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => session.destroy())
  return session
}

/** One unary call. Resolves with whether its status was OK. */
export function callGrpc(session: ClientHttp2Session, message: Uint8Array): Promise<boolean> {
  return new Promise(resolve => {
    if (session.destroyed || session.closed) return resolve(false)
    const stream = session.request(headers)
    let isOk = false
    const readStatus = (headers: IncomingHttpHeaders): void => {
      isOk ||= headers['grpc-status'] === '0'
    }
    stream.on('response', readStatus)
    stream.on('trailers', readStatus)
    stream.on('error', () => (isOk = false))
    stream.on('close', () => resolve(isOk))
    stream.resume()
    stream.end(encodeFrame(message, false))
  })
}

const headers: OutgoingHttpHeaders = {
  ':method': 'POST',
  ':path': tracePaths.grpc,
  ':scheme': 'http',
  'content-type': 'application/grpc',
  te: 'trailers',
}
