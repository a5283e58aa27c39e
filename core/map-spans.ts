import { Batch, type SpanGroup } from '../model/batch.ts'
import type { Span } from '../model/span.ts'
import type { BatchFunction } from './component.ts'

/**
 * A processor's function that changes spans one by one: `change` returns what `span.with(…)` gives, or the span itself where nothing is to
 * change. A batch in which nothing changed goes on untouched, as the bytes that came; batches of other signals always do.
 */
export function mapSpans(change: (span: Span, group: SpanGroup) => Span): BatchFunction {
  return batch => {
    if (batch.signal !== 'traces') return batch
    const groups = batch.groups.map(group => {
      const spans = group.spans.map(span => change(span, group))
      return spans.every((span, index) => span === group.spans[index]) ? group : { ...group, spans }
    })
    return groups.every((group, index) => group === batch.groups[index]) ? batch : Batch.ofGroups(groups)
  }
}
