import type { IncomingMessage } from 'node:http'

/** The whole body, never a part of one: 'too large' as soon as it is, 'aborted' where the sender went away before its end. */
export function readBody(
  request: IncomingMessage,
  maximumBytes: number,
): Promise<Uint8Array | 'too large' | 'aborted'> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maximumBytes) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      request.removeAllListeners('data')
      resolve('too large')
    })
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    request.on('error', () => resolve('aborted'))
    request.on('close', () => resolve('aborted'))
  })
}

/**
 * Reads the rest of a refused body without keeping it, so that the sender gets to read the refusal instead of a reset
 * connection; at most for `drainMs` and twice as many bytes as a body may have.
 */
export function discardRest(request: IncomingMessage, maximumBytes: number): void {
  if (request.complete) return
  const { socket } = request
  let size = 0
  const timer = setTimeout(() => socket.destroy(), drainMs).unref()
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > 2 * maximumBytes) socket.destroy()
  })
  request.once('end', () => clearTimeout(timer))
  request.once('close', () => clearTimeout(timer))
  request.resume()
}

const drainMs = 5000
