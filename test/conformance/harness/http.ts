import assert from 'node:assert/strict'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Sending {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

const agent = new Agent({ keepAlive: true, maxSockets: 20 })

/** A request by Node's own client. */
export function send(address: string, { method = 'POST', path, headers, body }: Sending): Promise<Reply> {
  const { host, port } = split(address)
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, host, port, method, path: path ?? '/', headers: { ...headers } })
    outgoing.on('error', reject)
    outgoing.on('response', response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    outgoing.end(body)
  })
}

export function split(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
}

/** A connection on which a test writes its own bytes. */
export interface Wire {
  readonly socket: Socket
  write(bytes: Uint8Array | string): void
  /** The next response, also an interim one. Rejects where the connection ends before its end. */
  response(options?: { readonly isHead?: boolean }): Promise<Reply & { readonly version: string }>
  /** Resolves when the other side has ended the connection. */
  ended(): Promise<void>
  close(): void
}

export function openWire(address: string): Wire {
  const socket = connect(split(address))
  let received = Buffer.alloc(0)
  let isOver = false
  socket.on('data', data => (received = Buffer.concat([received, data])))
  socket.on('error', () => (isOver = true))
  socket.on('close', () => (isOver = true))
  socket.on('end', () => (isOver = true))
  const until = async <T>(take: () => T | undefined, what: string): Promise<T> => {
    for (let waited = 0; waited < patienceMs; waited += 5) {
      const taken = take()
      if (taken !== undefined) return taken
      assert.ok(!isOver, `the connection ended before ${what}: ${received.toString('latin1').slice(0, 200)}`)
      await sleep(5)
    }
    throw new Error(`no ${what} within ${patienceMs} ms`)
  }
  return {
    socket,
    write: bytes => void socket.write(bytes),
    async response({ isHead = false } = {}) {
      const head = await until(() => {
        const end = received.indexOf('\r\n\r\n')
        if (end < 0) return undefined
        const text = received.subarray(0, end).toString('latin1')
        received = received.subarray(end + 4)
        return text
      }, 'the head of a response')
      const { version, status, headers } = parseHead(head)
      const isBodiless = isHead || status < 200 || status === 204
      const body = isBodiless ? Buffer.alloc(0) : await readBody(headers)
      return { version, status, headers, body }
    },
    async ended() {
      for (let waited = 0; waited < patienceMs && !isOver; waited += 5) await sleep(5)
      assert.ok(isOver, 'the other side did not end the connection')
    },
    close: () => void socket.destroy(),
  }

  function readBody(headers: IncomingHttpHeaders): Promise<Buffer> {
    const length = headers['content-length']
    assert.notEqual(length, undefined, 'a response without Content-Length')
    return until(() => {
      if (received.length < Number(length)) return undefined
      const body = received.subarray(0, Number(length))
      received = received.subarray(Number(length))
      return body
    }, 'the body of a response')
  }
}

const patienceMs = 10_000

function parseHead(head: string): { version: string; status: number; headers: IncomingHttpHeaders } {
  const [statusLine = '', ...lines] = head.split('\r\n')
  const [, version = '', code] = /^HTTP\/(\d\.\d) (\d{3})/.exec(statusLine) ?? []
  assert.ok(code !== undefined, `no status line: ${statusLine}`)
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  return { version, status: Number(code), headers }
}

/** One request on a connection of its own, written as it stands. */
export async function exchange(
  address: string,
  bytes: Uint8Array | string,
): Promise<Reply & { version: string }> {
  const wire = openWire(address)
  try {
    wire.write(bytes)
    return await wire.response()
  } finally {
    wire.close()
  }
}
