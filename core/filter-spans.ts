import { Batch, type SpanGroup } from '../model/batch.ts'
import type { Span } from '../model/span.ts'
import type { BatchFunction } from './component.ts'

/**
 * A processor's function that keeps some spans. Those that it drops are settled with the reason (a few words, such as `not sampled`), which
 * stands in the ledger. A batch of which all spans stay goes on untouched; batches of other signals always do.
 */
export function filterSpans(
  isKept: (span: Span, group: SpanGroup) => boolean,
  reason: string,
): BatchFunction {
  return (batch, { drop }) => {
    if (batch.signal !== 'traces') return batch
    const groups: SpanGroup[] = []
    const dropped: Span[] = []
    for (const group of batch.groups) {
      const kept: Span[] = []
      for (const span of group.spans) (isKept(span, group) ? kept : dropped).push(span)
      if (kept.length > 0) groups.push(kept.length === group.spans.length ? group : { ...group, spans: kept })
    }
    if (dropped.length === 0) return batch
    drop(dropped, reason)
    return Batch.ofGroups(groups)
  }
}
