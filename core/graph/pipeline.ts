import { type Observable, Subject, type Subscription } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { ProcessorContext, ProcessorDefinition, Refusal } from '../component.ts'
import type { PipelineConfig } from '../config/pipelines.ts'
import type { Configured } from '../config/resolve.ts'
import type { Delivery } from '../delivery/delivery.ts'
import { BranchBook, type PipelineBook } from '../ledger.ts'
import { occasionally } from '../log-rate.ts'
import type { Settlement } from '../settlement.ts'
import { componentContext, type Shared } from './context.ts'
import { createComponent, hasMethod, isFunction } from './create-component.ts'
import { runFunction } from './run-function.ts'
import { runOperator } from './run-operator.ts'
import { type RunningProcessor, unreachable } from './running-processor.ts'
import { Stage } from './stage.ts'

/** How long a sender should wait when a queue is full: the time in which a healthy one makes room many times over. */
const fullRetryMs = 1000

export interface Pipeline {
  readonly book: PipelineBook
  readonly stages: readonly Stage[]
  /** Whether all of it has room for one more batch. Asked before the fan-out. */
  admit(batch: Batch): Refusal | undefined
  put(batch: Batch): void
  /** Completes the source; resolves when every processor has given out what it had. */
  finish(): Promise<void>
  abandon(reason: string): void
}

interface Options {
  readonly config: PipelineConfig
  readonly book: PipelineBook
  readonly processors: readonly Configured<ProcessorDefinition>[]
  readonly deliveries: readonly Delivery[]
  readonly nextBranchIndex: () => number
  readonly maxWaiting: number
  readonly callTimeoutMs: number
  readonly shared: Shared
  readonly settlement: Settlement
}

/** Processors of its own, in a row, and a way to each exporter's queue at the end. */
export async function startPipeline(options: Options): Promise<Pipeline> {
  const { config, book, deliveries, maxWaiting } = options
  const branches = deliveries.map(delivery => ({
    delivery,
    branch: new BranchBook(book, delivery.id, options.nextBranchIndex()),
  }))
  const input = new Subject<Batch>()
  const admissions: ((batch: Batch) => Refusal | undefined)[] = []
  const running: RunningProcessor[] = []
  const stages: Stage[] = []
  let stream$: Observable<Batch> = input
  for (const processor of options.processors) {
    const started = await startProcessor(processor, { ...options, input$: stream$, admissions })
    running.push(started.running)
    stages.push(started.stage)
    stream$ = started.running.output$
  }
  let subscription: Subscription | undefined
  const isDone = new Promise<void>(resolve => {
    subscription = stream$.subscribe({
      next: batch => {
        for (const { delivery, branch } of branches) delivery.put(batch, branch)
      },
      error: unreachable,
      complete: resolve,
    })
  })
  return {
    book,
    stages,
    admit(batch) {
      const late = running.findIndex(each => each.waiting >= maxWaiting)
      if (late >= 0) {
        return { reason: `${stages[late]?.id} in ${config.id} is behind`, retryAfterMs: fullRetryMs }
      }
      for (const { delivery } of branches) {
        if (!delivery.hasRoom(batch))
          return { reason: `the queue of ${delivery.id} is full`, retryAfterMs: fullRetryMs }
      }
      for (const admit of admissions) {
        const refusal = admit(batch)
        if (refusal) return refusal
      }
      return undefined
    },
    put: batch => input.next(batch),
    finish() {
      input.complete()
      return isDone
    },
    abandon(reason) {
      subscription?.unsubscribe()
      for (const each of running) each.abandon(reason)
    },
  }
}

async function startProcessor(
  { id, definition, settings }: Configured<ProcessorDefinition>,
  options: Options & { input$: Observable<Batch>; admissions: ((batch: Batch) => Refusal | undefined)[] },
): Promise<{ running: RunningProcessor; stage: Stage }> {
  const { config, book, shared, settlement, input$, admissions } = options
  const base = componentContext(shared, id, { kind: 'processor', pipeline: config.id })
  const { logger } = base
  const say = occasionally(logger, base.clock)
  const stage = new Stage({ id, book, settlement, logger })
  const context: ProcessorContext = {
    ...base,
    pipeline: config.id,
    drop: (items, reason) => stage.drop(items, reason),
    merge: items => stage.merge(items),
    created: items => stage.created(items),
    onAdmission(admit) {
      admissions.push(batch => {
        try {
          return admit(batch)
        } catch (error) {
          // Refused, the intake would be lost to all other pipelines too.
          say.error({ err: error }, 'failed to say whether it has room, which counts as a yes')
          return undefined
        }
      })
    },
  }
  const made = await createComponent(base, () => definition.create(settings, context), {
    isRight: each => isFunction(each) || hasMethod(each, 'operator'),
    expected: 'a function or { operator }',
  })
  const common = { stage, say, clock: base.clock, timeoutMs: options.callTimeoutMs, input$ }
  const running =
    typeof made === 'function'
      ? runFunction(batch => made(batch, context), common)
      : runOperator(made, common)
  return { running, stage }
}
