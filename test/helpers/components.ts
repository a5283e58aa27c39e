import { Subject, takeUntil, fromEvent } from 'rxjs'
import type { Batch, Origin } from '../../model/batch.ts'
import {
  type Answer,
  type BatchFunction,
  type BatchOperator,
  type ComponentDefinition,
  defineExporter,
  defineProcessor,
  defineReceiver,
  type Export,
  type ExporterContext,
  type Intake,
  type ProcessorContext,
  type ReceiverContext,
} from '../../core/component.ts'
import { deliverySchema } from '../../core/delivery/schema.ts'
import type { ObjectSchema } from '../../core/schema.ts'

const schema = { type: 'object', additionalProperties: false, properties: {} } as const satisfies ObjectSchema
const signals = ['traces', 'metrics', 'logs'] as const

/** A receiver that a test speaks through. */
export function fakeReceiver(type = 'in'): {
  definition: ComponentDefinition
  /** Emits an intake; the answers that were given to it are collected. */
  send(build: (origin: Origin) => Batch): Answer[]
  fail(error: Error): void
  readonly context: ReceiverContext
  /** Whether a pipeline uses it. */
  readonly isWanted: boolean
  readonly starts: number
} {
  let intakes$ = new Subject<Intake>()
  let context: ReceiverContext | undefined
  let starts = 0
  const current = (): ReceiverContext => {
    if (!context) throw new Error('not started')
    return context
  }
  return {
    definition: defineReceiver({
      type,
      description: 'For tests.',
      stability: 'development',
      signals,
      schema,
      create(_config, given) {
        context = given
        starts++
        intakes$ = new Subject<Intake>()
        return intakes$.pipe(takeUntil(fromEvent(given.stopping, 'abort')))
      },
    }),
    send(build) {
      const answers: Answer[] = []
      intakes$.next(current().intake(build, { answer: answer => answers.push(answer) }))
      return answers
    },
    fail(error) {
      intakes$.error(error)
    },
    get context() {
      return current()
    },
    get isWanted() {
      return context !== undefined
    },
    get starts() {
      return starts
    },
  }
}

export function fakeProcessor(
  create: (context: ProcessorContext) => BatchFunction | BatchOperator,
  type = 'step',
): ComponentDefinition {
  return defineProcessor({
    type,
    description: 'For tests.',
    stability: 'development',
    signals,
    schema,
    create: (_config, context) => create(context),
  })
}

export function fakeExporter(
  deliver: (batch: Batch, context: ExporterContext, cancelled: AbortSignal) => void | Promise<void> = () =>
    undefined,
  type = 'out',
): { definition: ComponentDefinition; readonly batches: Batch[]; readonly spanIds: string[] } {
  const batches: Batch[] = []
  return {
    batches,
    get spanIds() {
      return batches.flatMap(batch => batch.groups.flatMap(group => group.spans.map(span => span.spanId)))
    },
    definition: defineExporter({
      type,
      description: 'For tests.',
      stability: 'development',
      signals,
      schema: { ...schema, properties: { ...deliverySchema } },
      create(_config, context): Export {
        return async (batch, cancelled) => {
          await deliver(batch, context, cancelled)
          batches.push(batch)
        }
      },
    }),
  }
}
