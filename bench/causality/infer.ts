import { names } from '../../model/attribute-names.ts'
import { Batch, groupSpans } from '../../model/batch.ts'
import { createResource, createScope } from '../../model/resource.ts'
import { Span, spanKind } from '../../model/span.ts'
import { startAssociation } from '../../test/helpers/association.ts'
import type { SetSpan } from './sets.ts'

/** The best guess for an `out` span. `parent` is the `in` span that caused it, null where the processor has none. */
export interface Guess {
  readonly id: number
  readonly parent: number | null
  readonly confidence: number
  readonly rule: string
}

/**
 * Sends a set through `span_association` as SYS spans, in the order of their ends and on a clock that they move, and reads the parents of
 * what leaves. `min_confidence` is 0, so that also guesses leave that would not be made into links.
 */
export async function inferCauses(spans: readonly SetSpan[]): Promise<Guess[]> {
  const run = await startAssociation({ mode: 'attach', min_confidence: 0 })
  const startMs = run.clock.nowMs()
  const first = spans.reduce((least, { start_us }) => Math.min(least, start_us), Infinity)
  const guesses: Guess[] = []
  const read = () => {
    for (const batch of run.batches.splice(0)) {
      for (const { spans: some } of batch.groups) for (const span of some) readGuess(span, guesses)
    }
  }
  let waiting: Span[] = []
  let nowMs = 0
  const send = () => {
    if (waiting.length > 0) run.input$.next(batchOf(waiting))
    waiting = []
  }
  for (const span of [...spans].sort((a, b) => a.end_us - b.end_us || a.id - b.id)) {
    const atMs = Math.floor((span.end_us - first) / 1000)
    if (atMs > nowMs) {
      send()
      run.clock.advance(atMs - nowMs)
      nowMs = atMs
      read()
    }
    waiting.push(spanOf(span, startMs, first))
  }
  send()
  run.clock.advance(60_000)
  read()
  return guesses
}

const resource = createResource([[names.hostId, 'one']])
const scope = createScope('fullspan/sys')
const traceIds = 1n << 100n

function batchOf(spans: readonly Span[]): Batch {
  const bytes = Batch.ofGroups(groupSpans(spans.map(span => ({ resource, scope, span })))).encode()
  return Batch.ofRequest('traces', bytes, spans.length)
}

function spanOf(span: SetSpan, startMs: number, first: number): Span {
  const { id, service, side, op, start_us, end_us, call, peer } = span
  const isRoot = call === undefined || call === null
  const nanosOf = (us: number) => BigInt(startMs) * 1_000_000n + BigInt(us - first) * 1000n
  return Span.create({
    traceId: (traceIds + BigInt(call ?? id) + (isRoot ? 1n << 64n : 0n)).toString(16).padStart(32, '0'),
    spanId: idOf(id),
    parentSpanId: '',
    name: op,
    kind: side === 'in' ? spanKind.server : spanKind.client,
    startTimeUnixNano: nanosOf(start_us),
    endTimeUnixNano: nanosOf(end_us),
    attributes: [
      [names.layer, 'sys'],
      [names.observationPoint, side === 'in' ? 's-p' : 'c-p'],
      [names.keyProcess, service],
      [names.serverAddress, side === 'in' ? service : (peer ?? '')],
      [names.keyMessageId, isRoot ? `root ${id}` : `${call}`],
    ],
  })
}

/** Ids of 0 are none. */
function idOf(id: number): string {
  return (BigInt(id) + (1n << 60n)).toString(16).padStart(16, '0')
}

function readGuess(span: Span, guesses: Guess[]): void {
  if (span.text(names.observationPoint) !== 'c-p') return
  const { spanId, parentSpanId } = span
  const rule = span.text(names.linkRule)
  const parent = parentSpanId === '' ? null : numberOf(parentSpanId)
  guesses.push({
    id: numberOf(spanId),
    parent,
    confidence: parent === null ? 0 : (span.number(names.linkConfidence) ?? 0),
    rule,
  })
}

function numberOf(spanId: string): number {
  return Number(BigInt(`0x${spanId}`) - (1n << 60n))
}
