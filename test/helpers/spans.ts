import { Batch, type Origin } from '../../model/batch.ts'
import { createResource, createScope } from '../../model/resource.ts'
import { Span } from '../../model/span.ts'

const resource = createResource([['service.name', 'shop']])
const scope = createScope('test')
let lastSpan = 0

/** A span with an id of its own. */
export function testSpan(origin?: Origin, name = 'GET /'): Span {
  const spanId = (++lastSpan).toString(16).padStart(16, '0')
  const traceId = '0123456789abcdef0123456789abcdef'
  return Span.create(
    { traceId, spanId, parentSpanId: '', name, kind: 1, startTimeUnixNano: 1n, endTimeUnixNano: 2n },
    origin,
  )
}

/** Spans as groups. */
export function testBatch(spans: number, origin?: Origin): Batch {
  return batchOf(Array.from({ length: spans }, () => testSpan(origin)))
}

export function batchOf(spans: readonly Span[]): Batch {
  return Batch.ofGroups([{ resource, scope, spans }])
}

/** The same as one untouched request. */
export function testRequest(spans: number, origin?: Origin): Batch {
  return Batch.ofRequest('traces', testBatch(spans).encode(), spans, origin)
}

export function spansOf(batch: Batch): Span[] {
  return batch.groups.flatMap(group => group.spans)
}
