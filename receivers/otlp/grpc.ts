import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Logger } from '../../core/component.ts'
import { grpcCode } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { type CallOptions, serveCall } from './grpc-call.ts'
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
  const sockets = new Set<Socket>()
  const calls = { inHand: 0, isClosing: false }
  const takeIn: TakeIn = async request => {
    calls.inHand++
    try {
      return await options.takeIn(request)
    } finally {
      calls.inHand--
    }
  }
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('session', session => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.on('error', (error: Error) => options.logger.debug({ err: error }, 'a gRPC connection failed'))
    session.setLocalWindowSize(sessionWindowBytes)
    keepAlive(session, options.keepalive)
    // Once a connection: session.socket is a proxy, and slow.
    const callOptions = { ...options, takeIn, peer: peerOf(session.socket) }
    session.on('stream', (stream: ServerHttp2Stream, headers) => serve(stream, headers, callOptions))
  })
  server.on('sessionError', (error: Error) =>
    options.logger.debug({ err: error }, 'a gRPC connection failed'),
  )
  const serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, call: CallOptions): void => {
    stream.on('error', (error: Error) => options.logger.debug({ err: error }, 'a gRPC call was broken off'))
    if (calls.isClosing) {
      fail(stream, { code: grpcCode.unavailable, message: 'shutting down', retryAfterMs: 1000 })
      return
    }
    serveCall(stream, headers, call).catch((error: unknown) => {
      options.logger.error({ err: error }, 'an OTLP/gRPC call failed')
      fail(stream, { code: grpcCode.internal, message: 'internal error' })
    })
  }
  const address = await listen(server, options.endpoint, options.key)
  return {
    address,
    close() {
      calls.isClosing = true
      return close(server, { sessions, sockets, hasCalls: () => calls.inHand > 0 })
    },
  }
}

/** GOAWAY to every sender; calls in hand go on. */
function close(
  server: Http2Server | Http2SecureServer,
  open: {
    readonly sessions: ReadonlySet<ServerHttp2Session>
    readonly sockets: ReadonlySet<Socket>
    hasCalls(): boolean
  },
): Promise<void> {
  return new Promise(resolve => {
    let quietSinceMs = Date.now()
    // A session that was closed waits for the other side to close as well; half-open peers never do.
    const sweep = setInterval(() => {
      if (open.hasCalls()) quietSinceMs = Date.now()
      if (Date.now() - quietSinceMs < closingMs) return
      for (const socket of open.sockets) socket.destroy()
    }, 50)
    server.close(() => {
      clearInterval(sweep)
      resolve()
    })
    for (const session of open.sessions) session.close()
  })
}

/** Large enough that a sender need not wait for WINDOW_UPDATE within a request of usual size. */
const streamWindowBytes = 1024 * 1024
const sessionWindowBytes = 8 * 1024 * 1024
/** How long senders may take to hang up while stopping, from the last answer. */
const closingMs = 2000

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
