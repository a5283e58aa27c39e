import type { AttributeValue } from '../model/attributes.ts'
import { Batch } from '../model/batch.ts'
import { createResource, createScope } from '../model/resource.ts'
import { Span, spanKind, type SpanKind } from '../model/span.ts'

/**
 * An ExportTraceServiceRequest as an SDK sends it: one resource, one scope, spans of 430 to 440 bytes with 10 attributes each, ten
 * to a trace: calls served, calls made and statements in turn. The same `seed`, the same bytes.
 */
export function createRequest(seed: number, spans: number): Uint8Array {
  const random = createRandom(seed)
  const list: Span[] = []
  let traceId = ''
  let parentSpanId = ''
  for (let index = 0; index < spans; index++) {
    const isRoot = index % 10 === 0
    if (isRoot) traceId = random.hex(32)
    const spanId = random.hex(16)
    const kind = kinds[index % kinds.length]!
    const start = 1_760_000_000_000_000_000n + BigInt(random.below(1_000_000_000)) * 1000n
    const { name, attributes } = kind.describe(random)
    list.push(
      Span.create({
        traceId,
        spanId,
        parentSpanId: isRoot ? '' : parentSpanId,
        name,
        kind: kind.kind,
        startTimeUnixNano: start,
        endTimeUnixNano: start + BigInt(random.below(50_000_000)),
        attributes,
        status: { code: random.below(20) === 0 ? 2 : 0, message: '' },
        flags: 0x101,
      }),
    )
    if (isRoot || random.below(3) === 0) parentSpanId = spanId
  }
  return Batch.ofGroups([{ resource, scope, spans: list }]).encode()
}

interface Random {
  below(limit: number): number
  hex(digits: number): string
}

interface Kind {
  readonly kind: SpanKind
  describe(random: Random): { name: string; attributes: [string, AttributeValue][] }
}

const kinds: readonly Kind[] = [
  {
    kind: spanKind.server,
    describe: random => ({
      name: 'GET /api/v1/orders/{id}',
      attributes: [
        ['http.request.method', 'GET'],
        ['http.route', '/api/v1/orders/{id}'],
        ['url.path', `/api/v1/orders/${100_000 + random.below(900_000)}`],
        ['url.scheme', 'http'],
        ['http.response.status_code', 200],
        ['server.address', 'orders.shop.svc.cluster.local'],
        ['server.port', 8080],
        ['client.address', `10.244.3.${10 + random.below(90)}`],
        ['user_agent.original', 'undici/7.2 node/20'],
        ['network.protocol.version', '1.1'],
      ],
    }),
  },
  {
    kind: spanKind.client,
    describe: random => ({
      name: 'POST',
      attributes: [
        ['http.request.method', 'POST'],
        ['url.full', `http://pay.shop.svc:8080/v1/payments/${random.hex(12)}`],
        ['http.response.status_code', random.below(20) === 0 ? 503 : 201],
        ['server.address', 'pay.shop.svc.cluster.local'],
        ['server.port', 8080],
        ['network.peer.address', `10.244.7.${10 + random.below(90)}`],
        ['network.peer.port', 8080],
        ['http.request.body.size', random.below(5000)],
        ['http.response.body.size', random.below(90_000)],
        ['network.protocol.version', '1.1'],
      ],
    }),
  },
  {
    kind: spanKind.client,
    describe: random => ({
      name: 'SELECT shop.orders',
      attributes: [
        ['db.system.name', 'mysql'],
        ['db.namespace', 'shop'],
        ['db.operation.name', 'SELECT'],
        ['db.collection.name', 'orders'],
        ['db.query.text', 'SELECT id, total FROM orders WHERE customer = ?'],
        ['db.response.returned_rows', random.below(500)],
        ['server.address', 'db-0.shop.svc.cluster.local'],
        ['server.port', 3306],
        ['thread.id', 20 + random.below(90)],
        ['app.cache.hit_ratio', random.below(1_000_000) / 1_000_003],
      ],
    }),
  },
]

const resource = createResource([
  ['service.name', 'checkout'],
  ['service.version', '1.14.2'],
  ['service.instance.id', '627cc493-f310-47de-96bd-71410b7dec09'],
  ['host.name', 'node-17.internal'],
  ['os.type', 'linux'],
  ['telemetry.sdk.language', 'nodejs'],
  ['telemetry.sdk.name', 'opentelemetry'],
  ['telemetry.sdk.version', '2.1.0'],
])
const scope = createScope('@opentelemetry/instrumentation-http', '0.205.0')

/** mulberry32: small, and the same everywhere. */
function createRandom(seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  const hex = (digits: number) => Array.from({ length: digits }, () => (1 + below(15)).toString(16)).join('')
  return { below, hex }
}
