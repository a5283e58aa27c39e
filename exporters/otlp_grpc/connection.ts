import { type ClientHttp2Session, connect } from 'node:http2'
import type { Socket } from 'node:net'
import type { ClientTls } from '../../core/delivery/tls.ts'

export interface KeepaliveSettings {
  /** Ping a connection this often, ms; 0 is never. */
  readonly time: number
  /** Without an answer for so long it is dropped, ms. */
  readonly timeout: number
  /** Also while no call is on its way. */
  readonly permit_without_stream: boolean
}

/** One HTTP/2 connection to one address, made anew when it is gone. */
export interface Connection {
  /** The connection to use now. It may still be connecting: calls wait for it. */
  session(): ClientHttp2Session
  /** A call got no answer in time: if the connection does not answer a ping either, it is dropped. */
  suspect(): void
  close(): Promise<void>
}

/** `origin`: `http://host:port` or `https://host:port`. */
export function createConnection(origin: string, tls: ClientTls, keepalive: KeepaliveSettings): Connection {
  let current: ClientHttp2Session | undefined
  const sockets = new Set<Socket>()
  let isClosed = false

  const open = (): ClientHttp2Session => {
    const session = connect(origin, {
      ...tls,
      settings: { enablePush: false, initialWindowSize: windowBytes },
    })
    const forget = () => {
      if (current === session) current = undefined
    }
    session.on('error', forget) // its calls fail with the same error
    session.on('close', forget)
    session.on('goaway', forget) // calls on their way go on, new ones take a new connection
    // A connection that never comes up would keep its calls waiting until TCP gives up.
    const connecting = setTimeout(() => session.destroy(new Error('no connection within 10 s')), connectMs)
    session.once('connect', (_session, socket) => {
      clearTimeout(connecting)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    session.once('close', () => clearTimeout(connecting))
    if (keepalive.time > 0) keepAlive(session, keepalive)
    return session
  }

  return {
    session() {
      if (!current || current.closed || current.destroyed) current = open()
      return current
    },
    suspect() {
      if (current && !isClosed) ping(current, suspectMs)
    },
    async close() {
      isClosed = true
      const session = current
      if (session && !session.destroyed) {
        await new Promise<void>(resolve => {
          const deadline = setTimeout(resolve, closingMs)
          session.close(() => {
            clearTimeout(deadline)
            resolve()
          })
        })
      }
      // A session that was closed waits for the other side to close as well, even when it is destroyed.
      for (const socket of sockets) socket.destroy()
    },
  }
}

const windowBytes = 1024 * 1024
const connectMs = 10_000
const suspectMs = 2000
const closingMs = 1000

function ping(session: ClientHttp2Session, timeoutMs: number): void {
  if (session.destroyed || session.connecting) return
  const deadline = setTimeout(() => session.destroy(new Error('the connection does not answer')), timeoutMs)
  deadline.unref()
  session.ping(() => clearTimeout(deadline))
}

function keepAlive(
  session: ClientHttp2Session,
  { time, timeout, permit_without_stream }: KeepaliveSettings,
): void {
  const timer = setInterval(() => {
    if (permit_without_stream || openStreams(session) > 0) ping(session, timeout)
  }, time)
  timer.unref()
  session.once('close', () => clearInterval(timer))
}

/** node:http2 does not tell; calls count themselves. */
const streams = new WeakMap<ClientHttp2Session, number>()

function openStreams(session: ClientHttp2Session): number {
  return streams.get(session) ?? 0
}

/** Counts a call on its way, for keep-alive. */
export function countStream(session: ClientHttp2Session, step: 1 | -1): void {
  streams.set(session, openStreams(session) + step)
}
