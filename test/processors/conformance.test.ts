import t from 'tap'
import { concatMap, from, NEVER, Observable, of, Subject } from 'rxjs'
import { components } from '../../components.ts'
import type { ProcessorContext, ProcessorDefinition } from '../../core/component.ts'
import { configOf } from '../../core/config/check.ts'
import { Stage } from '../../core/graph/stage.ts'
import { BranchBook, PipelineBook } from '../../core/ledger.ts'
import { manualClock } from '../../core/manual-clock.ts'
import type { Settings } from '../../core/schema.ts'
import { createSettlement } from '../../core/settlement.ts'
import type { Batch } from '../../model/batch.ts'
import { fakeContext } from '../helpers/context.ts'
import { sampleConfig } from '../helpers/sample-configs.ts'
import { testBatch } from '../helpers/spans.ts'

/** A processor alone, with books that say what it has in hand. */
async function bench(definition: ProcessorDefinition) {
  const clock = manualClock()
  const { context, log, stop } = fakeContext(definition.type)
  const book = new PipelineBook('traces', 'traces')
  new BranchBook(book, 'out', 0)
  const settlement = createSettlement({ nowMs: () => clock.nowMs() })
  const stage = new Stage({ id: definition.type, book, settlement, logger: context.logger })
  const processorContext: ProcessorContext = {
    ...context,
    clock,
    pipeline: 'traces',
    drop: (items, reason) => stage.drop(items, reason),
    merge: items => stage.merge(items),
    created: items => stage.created(items),
    onAdmission: () => undefined,
  }
  const settings = configOf(definition.schema, sampleConfig(definition, '.')) as Settings
  const made = await definition.create(settings, processorContext)
  const operator =
    typeof made === 'function'
      ? (input$: Observable<Batch>) =>
          input$.pipe(
            concatMap(batch => from(Promise.resolve(made(batch, processorContext)))),
            concatMap(result => (result === undefined ? [] : 'items' in result ? [result] : result)),
          )
      : made.operator

  const seen = { items: 0, isComplete: false, error: undefined as unknown }
  const run = (input$: Observable<Batch>) => {
    const counted$ = new Observable<Batch>(inner =>
      input$.subscribe({
        next: batch => {
          stage.take(batch)
          inner.next(batch)
        },
        error: (error: unknown) => inner.error(error),
        complete: () => inner.complete(),
      }),
    )
    return operator(counted$).subscribe({
      next: batch => {
        stage.emit(batch)
        seen.items += batch.items
      },
      error: (error: unknown) => (seen.error = error),
      complete: () => (seen.isComplete = true),
    })
  }
  const settle = async (ms = 0) => {
    clock.advance(ms)
    for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
  }
  return { run, seen, stage, book, settle, stop, log }
}

const tenMinutes = 600_000
const values = () => [testBatch(3), testBatch(1), testBatch(4)]

for (const definition of components.filter(each => each.kind === 'processor')) {
  t.test(`processor ${definition.type}`, t => {
    t.test('never: gives nothing and does not complete', async t => {
      const { run, seen, settle, stop } = await bench(definition)
      const subscription = run(NEVER)
      await settle(tenMinutes)
      t.match(seen, { items: 0, isComplete: false, error: undefined })
      subscription.unsubscribe()
      stop()
    })

    t.test('empty: completes with nothing', async t => {
      const { run, seen, settle, stop } = await bench(definition)
      run(of())
      await settle()
      t.match(seen, { items: 0, isComplete: true, error: undefined })
      stop()
    })

    t.test('values: all of them leave, or are accounted for', async t => {
      const { run, seen, settle, stage, book, stop } = await bench(definition)
      run(from(values()))
      await settle(tenMinutes)
      t.equal(seen.isComplete, true)
      t.equal(stage.heldItems, 0)
      t.equal(8 + book.created, seen.items + book.drops.total + book.merged)
      stop()
    })

    t.test('source error: it is passed on, and nothing follows', async t => {
      const { run, seen, settle, stop } = await bench(definition)
      const input = new Subject<Batch>()
      run(input)
      input.next(testBatch(2))
      await settle()
      const before = seen.items
      input.error(new Error('from the source'))
      await settle(tenMinutes)
      t.match(seen, { items: before, isComplete: false, error: { message: 'from the source' } })
      stop()
    })

    t.test('unending: what comes leaves in time, though the source never completes', async t => {
      const { run, seen, settle, stage, stop } = await bench(definition)
      const input = new Subject<Batch>()
      const subscription = run(input)
      for (const batch of values()) input.next(batch)
      await settle(tenMinutes)
      t.equal(stage.heldItems, 0)
      t.match(seen, { isComplete: false, error: undefined })
      subscription.unsubscribe()
      stop()
    })

    t.test('early unsubscribe: the source is left, and nothing follows', async t => {
      const { run, seen, settle, stop } = await bench(definition)
      const input = new Subject<Batch>()
      const subscription = run(input)
      input.next(testBatch(2))
      await settle()
      subscription.unsubscribe()
      const before = seen.items
      t.equal(input.observed, false)
      await settle(tenMinutes)
      t.match(seen, { items: before, isComplete: false, error: undefined })
      stop()
    })

    t.test('flush: what it holds leaves when the source completes, without any time passing', async t => {
      const { run, seen, settle, stage, stop } = await bench(definition)
      const input = new Subject<Batch>()
      run(input)
      for (const batch of values()) input.next(batch)
      input.complete()
      await settle()
      t.equal(stage.heldItems, 0)
      t.equal(seen.isComplete, true)
      stop()
    })
    t.end()
  })
}
