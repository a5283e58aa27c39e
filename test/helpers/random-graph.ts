import fc from 'fast-check'
import { concatMap, delay, filter, map, mergeMap, Observable, of, take, tap } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { BatchFunction, BatchOperator, Clock, ProcessorContext } from '../../index.ts'
import { FullspanError } from '../../core/errors.ts'
import type { ExporterContext } from '../../core/component.ts'
import { collect } from '../../processors/batch/collect.ts'
import { batchOf, spansOf, testSpan } from './spans.ts'

/** What a processor of a random graph does to its batches. */
export type Behaviour = keyof typeof processorBehaviours

/** Every third batch, counted per instance, so that a run can be repeated. */
function everyThird(): () => boolean {
  let calls = 0
  return () => ++calls % 3 === 0
}

const sleep = (clock: Clock, ms: number) => new Promise<void>(resolve => clock.after(ms, resolve))

/** Pass on everything that comes, each span once. */
const faithful = {
  pass: () => batch => batch,
  split: () => batch => batch.split(1),
  regroup: () => batch => batchOf(spansOf(batch)),
  slow:
    ({ clock }) =>
    async batch => {
      await sleep(clock, 30)
      return batch
    },
  hold: ({ clock }) => ({ operator: collect({ timeoutMs: 50, size: 7, maximum: 7, clock }) }),
  reorder: ({ clock }) => ({
    operator: input$ =>
      input$.pipe(mergeMap(batch => of(batch).pipe(delay(batch.items * 10, clock.scheduler)))),
  }),
} satisfies Record<string, (context: ProcessorContext) => BatchFunction | BatchOperator>

/** Lose, multiply, fail and lie. */
const unfaithful = {
  drop: context => batch => {
    const [first, ...rest] = spansOf(batch)
    context.drop(first ? [first] : [], 'not sampled')
    return batchOf(rest)
  },
  dropTwice: context => batch => {
    context.drop(batch, 'all of it')
    context.drop(batch, 'and again')
    return undefined
  },
  dropAndPass: context => batch => {
    context.drop(batch, 'passed all the same')
    return batch
  },
  merge: context => batch => {
    const [first, second, ...rest] = spansOf(batch)
    if (!first || !second) return batch
    context.merge([second])
    return batchOf([first.with({ name: 'both' }), ...rest])
  },
  swallow: () => batch => batchOf(spansOf(batch).slice(1)),
  swallowAll: () => () => undefined,
  create: context => batch => {
    context.created(1)
    return batchOf([...spansOf(batch), testSpan()])
  },
  createSilently: () => batch => [batch, batchOf([testSpan()])],
  copy: () => batch => [batch, batch],
  createAndDrop: context => batch => {
    context.created(2)
    return batch
  },
  throw: () => {
    const isDue = everyThird()
    return batch => {
      if (isDue()) throw new Error('thrown')
      return batch
    }
  },
  reject: ({ clock }) => {
    const isDue = everyThird()
    return async batch => {
      await sleep(clock, 5)
      if (isDue()) throw new Error('rejected')
      return batch
    }
  },
  rejectAtOnce: () => () => Promise.reject(new Error('at once')),
  hang: () => {
    const isDue = everyThird()
    return batch => (isDue() ? new Promise<never>(() => undefined) : batch)
  },
  operatorThrows: () => {
    const isDue = everyThird()
    return {
      operator: input$ =>
        input$.pipe(
          tap(() => {
            if (isDue()) throw new Error('in an operator')
          }),
        ),
    }
  },
  holdThenThrow: ({ clock }) => {
    const isDue = everyThird()
    return {
      operator: input$ =>
        collect({ timeoutMs: 20, size: 100, maximum: 0, clock })(input$).pipe(
          tap(() => {
            if (isDue()) throw new Error('with much in hand')
          }),
        ),
    }
  },
  endsEarly: () => ({ operator: input$ => input$.pipe(take(2)) }),
  failsOnSubscribe: () => ({
    operator: () => {
      throw new Error('not even applied')
    },
  }),
  swallowsInOperator: () => ({ operator: input$ => input$.pipe(filter(batch => batch.items > 2)) }),
  neverEnds: () => ({
    operator: input$ =>
      new Observable(output =>
        input$.subscribe({ next: batch => output.next(batch), error: () => undefined }),
      ),
  }),
  copiesInOperator: () => ({ operator: input$ => input$.pipe(concatMap(batch => [batch, batch])) }),
  createsInOperator: () => ({
    operator: input$ => input$.pipe(map(batch => batchOf([...spansOf(batch), testSpan()]))),
  }),
  refusesSome: context => {
    const isDue = everyThird()
    context.onAdmission(() => (isDue() ? { reason: 'full', retryAfterMs: 1 } : undefined))
    return batch => batch
  },
  failsAtAdmission: context => {
    context.onAdmission(() => {
      throw new Error('no idea')
    })
    return batch => batch
  },
} satisfies Record<string, (context: ProcessorContext) => BatchFunction | BatchOperator>

export const processorBehaviours = { ...faithful, ...unfaithful } as const satisfies Record<
  string,
  (context: ProcessorContext) => BatchFunction | BatchOperator
>

export type ExporterBehaviour = keyof typeof exporterBehaviours

const busy = () => new FullspanError({ code: 'TEST_BUSY', remedy: 'retry', message: 'busy', afterMs: 20 })
const refused = () => new FullspanError({ code: 'TEST_REFUSED', remedy: 'drop', message: 'refused' })

type Deliver = (batch: Batch, context: ExporterContext, cancelled: AbortSignal) => void | Promise<void>

/** Deliver everything in the end. */
const healthyExporters = ['accept', 'acceptSlowly', 'busyFirst'] as const

export const exporterBehaviours = {
  accept: (): Deliver => () => undefined,
  acceptSlowly: (): Deliver => async (_batch, context) => sleep(context.clock, 40),
  busyFirst: (): Deliver => {
    let calls = 0
    return () => {
      if (++calls % 3 !== 0) throw busy()
    }
  },
  refuseSome: (): Deliver => {
    const isDue = everyThird()
    return () => {
      if (isDue()) throw refused()
    }
  },
  rejectOne: (): Deliver => (batch, context) => context.drop(batch, 1, 'not that one'),
  crash: (): Deliver => () => {
    throw new TypeError('a fault')
  },
  hangSome: (): Deliver => {
    const isDue = everyThird()
    return () => (isDue() ? new Promise<never>(() => undefined) : undefined)
  },
  /** Ignores that it is cancelled, and fails when nobody waits for it any more. */
  failLate: (): Deliver => async (_batch, context) => {
    await sleep(context.clock, 700)
    throw busy()
  },
  hang: (): Deliver => () => new Promise<never>(() => undefined),
  busyForEver: (): Deliver => () => {
    throw busy()
  },
} as const

export interface GraphPlan {
  readonly receivers: number
  readonly exporters: readonly { behaviour: ExporterBehaviour; queueSize: number; consumers: number }[]
  readonly pipelines: readonly {
    receivers: readonly number[]
    processors: readonly Behaviour[]
    exporters: readonly number[]
  }[]
  readonly sends: readonly { receiver: number; items: number; waitMs: number; isRequest: boolean }[]
}

/** Plans of graphs and of what is sent through them. `faithfulOnly`: nothing but what delivers everything. */
export function graphPlans(options: { faithfulOnly: boolean }): fc.Arbitrary<GraphPlan> {
  const behaviours = Object.keys(options.faithfulOnly ? faithful : processorBehaviours) as Behaviour[]
  const exporterKinds = options.faithfulOnly
    ? [...healthyExporters]
    : (Object.keys(exporterBehaviours) as ExporterBehaviour[])
  return fc
    .record({ receivers: fc.integer({ min: 1, max: 2 }), exporters: fc.integer({ min: 1, max: 3 }) })
    .chain(({ receivers, exporters }) =>
      fc.record({
        receivers: fc.constant(receivers),
        exporters: fc.array(
          fc.record({
            behaviour: fc.constantFrom(...exporterKinds),
            queueSize: fc.integer({ min: 1, max: 4 }),
            consumers: fc.integer({ min: 1, max: 3 }),
          }),
          { minLength: exporters, maxLength: exporters },
        ),
        pipelines: fc.array(
          fc.record({
            receivers: some(receivers),
            processors: fc.array(fc.constantFrom(...behaviours), { maxLength: 3 }),
            exporters: some(exporters),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        sends: fc.array(
          fc.record({
            receiver: fc.integer({ min: 0, max: receivers - 1 }),
            items: fc.integer({ min: 0, max: 5 }),
            waitMs: fc.constantFrom(0, 0, 10, 60),
            isRequest: fc.boolean(),
          }),
          { minLength: 1, maxLength: 25 },
        ),
      }),
    )
}

function some(count: number): fc.Arbitrary<number[]> {
  return fc.uniqueArray(fc.integer({ min: 0, max: count - 1 }), { minLength: 1, maxLength: count })
}
