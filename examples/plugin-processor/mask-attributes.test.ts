import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Batch, createResource, createScope, Span, spanKind, tryProcessor } from 'fullspan'
import maskAttributes from './mask-attributes.ts'

const span = Span.create({
  traceId: '0123456789abcdef0123456789abcdef',
  spanId: '0123456789abcdef',
  parentSpanId: '',
  name: 'GET /cart',
  kind: spanKind.server,
  startTimeUnixNano: 1n,
  endTimeUnixNano: 2n,
  attributes: Object.entries({ 'enduser.id': 'ada', 'http.route': '/cart' }),
})
const batch = Batch.ofGroups([
  { resource: createResource([['service.name', 'shop']]), scope: createScope('test'), spans: [span] },
])

test('masks the attributes that it is told to, and no others', async () => {
  const { batches, ledger } = await tryProcessor(maskAttributes, { keys: ['enduser.id'] }, [batch])
  const [seen] = batches[0]?.groups[0]?.spans ?? []
  assert.match(seen?.text('enduser.id') ?? '', /^[0-9a-f]{16}$/)
  assert.equal(seen?.text('http.route'), '/cart')
  assert.equal(ledger.delivered, 1)
})
