import type { Signal } from '../../model/batch.ts'
import { type Cursor, readVarint, skipValue, wireBytes } from '../../model/wire.ts'
import { type MessagePlan, requestPlans } from './plan.ts'

/**
 * Spans, metric data points, log records or profile samples of a request, counted without reading them. The bytes must have
 * passed the check of intake.
 */
export function countItems(signal: Signal, bytes: Uint8Array): number {
  return countIn(requestPlans[signal], { bytes, at: 0, end: bytes.length }, bytes.length)
}

function countIn(plan: MessagePlan, cursor: Cursor, end: number): number {
  let items = 0
  while (cursor.at < end) {
    const tag = readVarint(cursor)
    const number = Math.floor(tag / 8)
    if ((tag & 7) !== wireBytes || !plan.leadsToItems.has(number)) {
      skipValue(cursor, tag & 7)
      continue
    }
    const length = readVarint(cursor)
    const stop = cursor.at + length
    const inner = plan.byNumber[number]!.message!
    if (inner.isItem) items++
    else items += countIn(inner, cursor, stop)
    cursor.at = stop
  }
  return items
}
