import { createSecureServer, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Logger } from '../../core/component.ts'
import { grpcCode } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { serveCall } from './grpc-call.ts'
import { fail } from './grpc-reply.ts'
import type { TakeIn } from './intake.ts'
import { listen, type OpenServer, peerOf } from './listen.ts'
import type { ServerTls } from './tls.ts'

export interface GrpcOptions {
  readonly endpoint: string
  /** Config key of the endpoint, for what cannot be bound. */
  readonly key: string
  readonly maximumBytes: number
  readonly maximumStreams: number | undefined
  readonly keepalive: KeepaliveSettings
  readonly tls: ServerTls | undefined
  /** Signal by `:path`. */
  readonly paths: ReadonlyMap<string, Signal>
  readonly takeIn: TakeIn
  readonly logger: Logger
}

/** The Collector's keepalive.server_parameters, in ms; 0 is never. */
export interface KeepaliveSettings {
  readonly max_connection_idle: number
  readonly max_connection_age: number
  readonly max_connection_age_grace: number
  readonly time: number
  readonly timeout: number
}

/**
 * OTLP/gRPC: its unary calls straight on HTTP/2, three times as fast with large requests as grpc-js, whose server leaves the
 * receive window at 64 KiB.
 */
export async function openGrpc(options: GrpcOptions): Promise<OpenServer> {
  const settings = {
    initialWindowSize: streamWindowBytes,
    ...(options.maximumStreams !== undefined && { maxConcurrentStreams: options.maximumStreams }),
  }
  const server = options.tls ? createSecureServer({ ...options.tls, settings }) : createServer({ settings })
  const sessions = new Set<ServerHttp2Session>()
  const calls = { inHand: 0, isClosing: false }
  server.on('session', session => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.on('error', (error: Error) => options.logger.debug({ err: error }, 'a gRPC connection failed'))
    session.setLocalWindowSize(sessionWindowBytes)
    keepAlive(session, options.keepalive)
  })
  server.on('sessionError', (error: Error) =>
    options.logger.debug({ err: error }, 'a gRPC connection failed'),
  )
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', (error: Error) => options.logger.debug({ err: error }, 'a gRPC call was broken off'))
    calls.inHand++
    stream.once('close', () => calls.inHand--)
    if (calls.isClosing) {
      fail(stream, { code: grpcCode.unavailable, message: 'shutting down', retryAfterMs: 1000 })
      return
    }
    serveCall(stream, headers, { ...options, peer: peerOf(stream.session?.socket) }).catch(
      (error: unknown) => {
        options.logger.error({ err: error }, 'an OTLP/gRPC call failed')
        fail(stream, { code: grpcCode.internal, message: 'internal error' })
      },
    )
  })
  const address = await listen(server, options.endpoint, options.key)
  return {
    address,
    async close() {
      calls.isClosing = true
      await new Promise<void>(resolve => {
        const deadline = setTimeout(() => {
          for (const session of sessions) session.destroy()
        }, closingMs)
        server.close(() => {
          clearTimeout(deadline)
          resolve()
        })
        for (const session of sessions) session.close() // GOAWAY; calls in hand go on
      })
    },
  }
}

/** Large enough that a sender need not wait for WINDOW_UPDATE within a request of usual size. */
const streamWindowBytes = 1024 * 1024
const sessionWindowBytes = 8 * 1024 * 1024
/** How long calls that have begun may take while stopping. */
const closingMs = 5000

/** Pings a silent sender, and sends GOAWAY to one that is idle or connected for too long. */
function keepAlive(session: ServerHttp2Session, settings: KeepaliveSettings): void {
  const timers: NodeJS.Timeout[] = []
  const after = (delayMs: number, call: () => void) => timers.push(setTimeout(call, delayMs).unref())
  if (settings.max_connection_age > 0) {
    after(settings.max_connection_age, () => {
      session.close()
      if (settings.max_connection_age_grace > 0) {
        after(settings.max_connection_age_grace, () => session.destroy())
      }
    })
  }
  if (settings.max_connection_idle > 0)
    session.setTimeout(settings.max_connection_idle, () => session.close())
  if (settings.time > 0) {
    const ping = () => {
      if (session.destroyed || session.closed) return
      const deadline = setTimeout(() => session.destroy(), settings.timeout).unref()
      session.ping(() => {
        clearTimeout(deadline)
        after(settings.time, ping)
      })
    }
    after(settings.time, ping)
  }
  session.once('close', () => {
    for (const timer of timers) clearTimeout(timer)
  })
}
