import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { contentTypes, type Encoding, encodingOf } from '../../formats/otlp/encoding.ts'
import { encodeStatus, grpcCode, type Status } from '../../formats/otlp/status.ts'

/**
 * What node:http would answer by itself, or not at all, gets a Status here: OTLP 1.11 wants one in every 4xx, in the encoding of
 * the request.
 */
export interface Faults {
  /** To be called with every request, so that its answer keeps its turn. */
  watch(request: IncomingMessage, response: ServerResponse): void
  /** For `clientError`: no HTTP, a head that is too large or too slow, a broken chunk. */
  answer(error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }, socket: Socket): void
}

interface Connection {
  readonly open: Set<ServerResponse>
  latest: IncomingMessage
}

export function createFaults(): Faults {
  const connections = new WeakMap<Socket, Connection>()
  return {
    watch(request, response) {
      const connection = connections.get(request.socket)
      if (connection) {
        connection.latest = request
        connection.open.add(response)
      } else connections.set(request.socket, { open: new Set([response]), latest: request })
      response.once('close', () => connections.get(request.socket)?.open.delete(response))
    },
    answer(error, socket) {
      if (!socket.writable) {
        socket.destroy()
        return
      }
      const connection = connections.get(socket)
      const unread = connection && !connection.latest.complete ? connection.latest : undefined
      const contentType = unread?.headers['content-type'] ?? contentTypeIn(error.rawPacket)
      const bytes = rawFault(error.code, encodingOf(contentType) ?? 'json')
      // The answers to earlier requests of this connection come first.
      const before = [...(connection?.open ?? [])].filter(response => response.req !== unread).at(-1)
      if (before) before.once('close', () => socket.end(bytes))
      else socket.end(bytes)
    },
  }
}

function contentTypeIn(packet: Buffer | undefined): string | undefined {
  const head = packet?.subarray(0, 16_384).toString('latin1').split('\r\n\r\n', 1)[0] ?? ''
  return /^content-type:(.*)$/im.exec(head)?.[1]
}

function rawFault(code: string | undefined, encoding: Encoding): Buffer {
  const message = 'The request is not valid HTTP.'
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return rawAnswer('431 Request Header Fields Too Large', encoding, {
        code: grpcCode.resourceExhausted,
        message: 'The head of the request is too large.',
      })
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return rawAnswer('413 Content Too Large', encoding, { code: grpcCode.resourceExhausted, message })
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return rawAnswer('408 Request Timeout', encoding, {
        code: grpcCode.deadlineExceeded,
        message: 'The request did not come to its end in time.',
      })
    default: {
      const status = { code: grpcCode.invalidArgument, message, violations: [message] }
      return rawAnswer('400 Bad Request', encoding, status)
    }
  }
}

/** A whole answer as bytes, for a socket that has no ServerResponse. */
export function rawAnswer(statusLine: string, encoding: Encoding, status: Status, header?: string): Buffer {
  const body = encodeStatus(status, encoding)
  const head = [
    `HTTP/1.1 ${statusLine}`,
    `content-type: ${contentTypes[encoding]}`,
    `content-length: ${body.length}`,
    ...(header === undefined ? [] : [header]),
    'connection: close',
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}

/** RFC 9112 §3.2: an HTTP/1.1 request has exactly one Host. */
export function hasValidHost({ httpVersionMinor, httpVersionMajor, rawHeaders }: IncomingMessage): boolean {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts === 1 || (hosts === 0 && httpVersionMajor === 1 && httpVersionMinor === 0)
}

/** The path of a request target, in origin-form or absolute-form, without its query; escapes are read (RFC 3986 §6.2.2). */
export function pathOf(target: string): string {
  const path = target.split('?', 1)[0]!
  if (path.startsWith('/') && !path.includes('%')) return path
  const bare = path.replace(/^https?:\/\/[^/]*/i, '')
  try {
    // An escaped slash separates nothing.
    return decodeURIComponent(bare.replaceAll(/%2f/gi, '%252F'))
  } catch {
    return bare
  }
}
