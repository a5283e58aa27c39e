import type { Service } from '../../test/helpers/service-facts.ts'
import { generateTrace, type KnownSpan, type Visit } from '../../test/helpers/trace-generator.ts'
import { batchOf } from '../../test/helpers/stack.ts'
import { Batch } from '../../model/batch.ts'

const hosts = ['node-1', 'node-2', 'node-3']

/** A small shop, several processes a service, on three hosts. */
function shop(replica: number) {
  const host = (n: number) => hosts[(replica + n) % hosts.length]!
  const service = (name: string, kind: Service['kind'], n: number): Service => ({
    name,
    kind,
    host: host(n),
    pid: 1000 + replica * 100 + n,
  })
  return {
    client: service('curl', 'threads', 0),
    gateway: service('nginx', 'gateway', 1),
    storefront: service('storefront', 'opentelemetry', 2),
    orders: service('orders', 'skywalking', 3),
    stock: service('stock', 'opentelemetry', 4),
    mariadb: service('mariadb', 'database', 5),
  }
}

/** 30 spans: client → nginx → storefront → orders → MariaDB, six sights each, and the agents' six spans. */
export function thirtySpans(number: number, startUs: number): KnownSpan[] {
  const { client, gateway, storefront, orders, mariadb } = shop(number % 32)
  const database: Visit = { service: mariadb, calls: [] }
  const visit: Visit = {
    service: gateway,
    calls: [{ service: storefront, calls: [{ service: orders, calls: [database] }] }],
  }
  const spans = generateTrace({ seed: number + 1, number, client, visit, startUs })
  return spans
}

/** One trace of just so many spans: a storefront that makes many calls, each to orders and from there to a database. */
export function largeTrace(spans: number): KnownSpan[] {
  const { client, gateway, storefront, orders, stock, mariadb } = shop(0)
  const database: Visit = { service: mariadb, calls: [] }
  const call: Visit = {
    service: orders,
    calls: [database, { service: stock, calls: [database] }],
  }
  const visit: Visit = {
    service: gateway,
    calls: [{ service: storefront, calls: Array.from({ length: Math.ceil(spans / 30) }, () => call) }],
  }
  return generateTrace({ seed: 7, number: 1, client, visit, startUs: 0 }).slice(0, spans)
}

/** Requests as receivers take them in: spans in the order in which they end, so many a request, by resource. */
export function requestsOf(spans: readonly KnownSpan[], spansARequest: number): Uint8Array[] {
  const inOrder = [...spans].sort((a, b) =>
    Number(a.piece.span.endTimeUnixNano - b.piece.span.endTimeUnixNano),
  )
  const requests: Uint8Array[] = []
  for (let at = 0; at < inOrder.length; at += spansARequest) {
    requests.push(
      Buffer.from(batchOf(inOrder.slice(at, at + spansARequest).map(({ piece }) => piece)).encode()),
    )
  }
  return requests
}

export function batchOfRequest(bytes: Uint8Array, items: number): Batch {
  return Batch.ofRequest('traces', bytes, items)
}
