import { createNoopMeter } from '@opentelemetry/api'
import { Subject } from 'rxjs'
import type { Logger, ProcessorContext } from '../../core/component.ts'
import { type ManualClock, manualClock } from '../../core/manual-clock.ts'
import type { Infer } from '../../core/schema.ts'
import type { Batch } from '../../model/batch.ts'
import type { Span } from '../../model/span.ts'
import association from '../../processors/span_association/index.ts'
import { at, batchOf, type Piece } from './stack.ts'

export type AssociationConfig = Infer<typeof association.schema>

export const associationDefaults: AssociationConfig = {
  mode: 'rewrite',
  idle_timeout: 10_000,
  max_age: 120_000,
  max_held_bytes: 256 * 1024 * 1024,
  max_trace_spans: 10_000,
  max_traces: 100_000,
  max_remembered: 200_000,
  min_confidence: 0.8,
  explain: false,
  statistics: { enabled: true, decide_after: 2000, max_at_once: 5000, max_processes: 1000 },
  forward_app: true,
  trace_ids: 'keep',
  unsampled: 'drop',
}

export interface Association {
  readonly input$: Subject<Batch>
  readonly batches: Batch[]
  readonly dropped: string[]
  readonly merged: () => number
  readonly clock: ManualClock
  /** The spans of all batches so far. */
  spans(): Span[]
}

/** One `span_association` by itself, on a clock that the test moves. */
export async function startAssociation(
  change: Partial<AssociationConfig> = {},
  context: Partial<ProcessorContext> = {},
): Promise<Association> {
  const clock = manualClock(Number(at(0) / 1_000_000n))
  const dropped: string[] = []
  const peers = new Map<string, string>()
  let merged = 0
  const created = await association.create(
    { ...associationDefaults, ...change },
    {
      id: 'span_association',
      pipeline: 'traces',
      logger: silent,
      meter: createNoopMeter(),
      clock,
      stopping: new AbortController().signal,
      getExtension: () => undefined,
      peers: { set: (key, value) => peers.set(key, value), get: key => peers.get(key) },
      ownPorts: [],
      packageRoot: '.',
      drop: (items, reason) => dropped.push(`${countOf(items)} ${reason}`),
      merge: items => (merged += countOf(items)),
      created: ignore,
      onAdmission: ignore,
      ...context,
    },
  )
  if (!('operator' in created)) throw new Error('span_association is an operator')
  const input$ = new Subject<Batch>()
  const batches: Batch[] = []
  created.operator(input$).subscribe({
    next: batch => batches.push(batch),
    error: (error: unknown) => {
      throw error
    },
  })
  const spans = () => batches.flatMap(spansOf)
  return { input$, batches, dropped, merged: () => merged, clock, spans }
}

/** What leaves when each piece came in a batch of its own, in this order. */
export async function associate(
  pieces: readonly Piece[],
  change: Partial<AssociationConfig> = {},
): Promise<Span[]> {
  const run = await startAssociation(change)
  for (const piece of pieces) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  return run.spans()
}

function spansOf(batch: Batch): Span[] {
  return batch.groups.flatMap(group => group.spans)
}

function countOf(items: Batch | readonly Span[]): number {
  return 'items' in items ? items.items : items.length
}

function ignore(): void {
  // Tests look at what comes out.
}

const silent: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
