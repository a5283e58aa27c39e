import { connect } from 'node:net'
import { tracePaths } from './messages.ts'

/** One connection of HTTP/1.1 that is kept alive, one request at a time. */
export interface Sender {
  /** Resolves with whether the other side has accepted it. */
  send(body: Uint8Array): Promise<boolean>
  close(): void
}

/**
 * Straight on a socket: a client library would cost more than the relay that is to be measured. Reads replies with a
 * Content-Length or in chunks.
 */
export function openHttpSender(port: number): Sender {
  const socket = connect(port, '127.0.0.1')
  let reply = ''
  let answer: ((isAccepted: boolean) => void) | undefined
  const finish = (isAccepted: boolean): void => {
    reply = ''
    const resolve = answer
    answer = undefined
    resolve?.(isAccepted)
  }
  socket.setNoDelay(true)
  socket.on('data', chunk => {
    reply += chunk.toString('latin1')
    if (isWhole(reply)) finish(reply.startsWith('HTTP/1.1 200'))
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => finish(false))
  return {
    send(body) {
      if (socket.destroyed) return Promise.resolve(false)
      return new Promise(resolve => {
        answer = resolve
        socket.cork()
        socket.write(
          `POST ${tracePaths.http} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${body.length}\r\n\r\n`,
        )
        socket.write(body)
        socket.uncork()
      })
    },
    close: () => socket.destroy(),
  }
}

function isWhole(reply: string): boolean {
  const headEnd = reply.indexOf('\r\n\r\n')
  if (headEnd < 0) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(reply)?.[1]
  if (length === undefined) return reply.endsWith('\r\n0\r\n\r\n')
  return reply.length >= headEnd + 4 + Number(length)
}
