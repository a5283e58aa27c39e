import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A request that was delivered. */
export interface Delivery {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A back end that takes everything and keeps it. */
export interface Sink {
  readonly url: string
  readonly deliveries: readonly Delivery[]
  /** The first delivery whose bytes hold this text. */
  find(text: string): Promise<Delivery>
  has(text: string): boolean
  close(): Promise<void>
}

export async function openSink(): Promise<Sink> {
  const deliveries: Delivery[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      deliveries.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) })
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const holding = (text: string) => deliveries.find(({ body }) => body.includes(text))
  return {
    url: `http://127.0.0.1:${port}`,
    deliveries,
    async find(text) {
      for (let waited = 0; waited < patienceMs; waited += 5) {
        const found = holding(text)
        if (found) return found
        await sleep(5)
      }
      assert.fail(`${text} was not delivered`)
    },
    has: text => holding(text) !== undefined,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const patienceMs = 10_000
