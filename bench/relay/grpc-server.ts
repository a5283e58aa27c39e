import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { collectFrame } from '../../formats/otlp/grpc-framing.ts'
import { sessionWindowBytes, streamWindowBytes } from './messages.ts'

/** Unary calls and nothing more: `take` gets each message, and the call is answered with an empty one when it is done. */
export function createGrpcServer(take: (message: Uint8Array) => Promise<void> | void): Http2Server {
  const server = createServer({ settings: { initialWindowSize: streamWindowBytes } })
  server.on('session', session => {
    session.setLocalWindowSize(sessionWindowBytes)
    session.on('error', () => session.destroy())
  })
  server.on('stream', (stream: ServerHttp2Stream) => {
    const collector = collectFrame(Number.POSITIVE_INFINITY)
    stream.on('error', () => stream.destroy())
    stream.on('data', (chunk: Buffer) => collector.add(chunk))
    stream.on('end', () => void answer())

    async function answer(): Promise<void> {
      const frame = collector.finish()
      if (typeof frame === 'string') throw new Error(`No message has come, but: ${frame}.`)
      await take(frame.bytes)
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(emptyMessage)
    }
  })
  return server
}

const emptyMessage = Buffer.alloc(5)
