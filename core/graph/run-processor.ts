import { type Observable, Observable as RxObservable, Subject, type Subscription } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { BatchFunction, BatchOperator, Logger } from '../component.ts'
import type { Stage } from './stage.ts'

/** A processor in its place: batches in, batches out, and what waits in front of it. */
export interface RunningProcessor {
  readonly output$: Observable<Batch>
  /** Batches that wait for an asynchronous call to end. */
  readonly waiting: number
  /** At the end of the drain time: drops what it has and what waits. Returns how many items that were. */
  abandon(reason: string): number
}

interface Options {
  readonly stage: Stage
  readonly logger: Logger
  readonly input$: Observable<Batch>
}

const failed = 'component failed'
const unexplained = 'gone without a reason'

/**
 * Runs a function for one batch after the other, in order; the next one waits until a promise is settled. A throw drops the batch in
 * hand, and what a call neither returns nor explains counts as dropped.
 */
export function runFunction(call: BatchFunction, { stage, logger, input$ }: Options): RunningProcessor {
  const waiting: Batch[] = []
  let isBusy = false
  let isInputDone = false
  let isAbandoned = false

  const output$ = new RxObservable<Batch>(output => {
    const emit = (result: Batch | readonly Batch[] | undefined): void => {
      if (isAbandoned) return
      const batches = result === undefined ? [] : 'items' in result ? [result] : result
      for (const batch of batches) stage.emit(batch)
      if (stage.heldItems > 0) stage.dropHeld(unexplained)
      for (const batch of batches) if (batch.items > 0) output.next(batch)
    }
    const fail = (error: unknown): void => {
      const items = stage.dropHeld(failed)
      logger.error({ err: error, dropped: items }, 'failed on a batch, which is dropped')
    }
    const next = (): void => {
      isBusy = false
      while (!isBusy) {
        const batch = waiting.shift()
        if (!batch) break
        start(batch)
      }
      if (!isBusy && isInputDone) output.complete()
    }
    const start = (batch: Batch): void => {
      stage.take(batch)
      try {
        const result = call(batch)
        if (!(result instanceof Promise)) {
          emit(result)
          return
        }
        isBusy = true
        result.then(emit).catch(fail).finally(next)
      } catch (error) {
        fail(error)
      }
    }
    return input$.subscribe({
      next: batch => {
        if (isBusy) waiting.push(batch)
        else start(batch)
      },
      complete: () => {
        isInputDone = true
        if (!isBusy) output.complete()
      },
    })
  })
  return {
    output$,
    get waiting() {
      return waiting.length
    },
    abandon(reason) {
      isAbandoned = true
      for (const batch of waiting.splice(0)) stage.take(batch)
      return stage.dropHeld(reason)
    },
  }
}

/**
 * Runs an operator. If it fails, or completes before its source does, what it has in hand is dropped, and it is applied anew to
 * the batches that follow.
 */
export function runOperator(
  { operator }: BatchOperator,
  { stage, logger, input$ }: Options,
): RunningProcessor {
  const output$ = new RxObservable<Batch>(output => {
    let inner: { input: Subject<Batch>; subscription: Subscription | undefined } | undefined
    let isInputDone = false

    const start = (): { input: Subject<Batch> } => {
      const started = { input: new Subject<Batch>(), subscription: undefined as Subscription | undefined }
      const isCurrent = (): boolean => inner === started
      inner = started
      const fail = (error: unknown): void => {
        if (!isCurrent()) return
        inner = undefined
        const items = stage.dropHeld(failed)
        logger.error(
          { err: error, dropped: items },
          'failed; what it had in hand is dropped, and it starts anew',
        )
        if (isInputDone) output.complete()
      }
      try {
        started.subscription = operator(started.input).subscribe({
          next: batch => {
            if (!isCurrent()) return
            stage.emit(batch)
            if (batch.items > 0) output.next(batch)
          },
          error: fail,
          complete: () => {
            if (!isInputDone) return fail(new Error('completed before its source'))
            if (!isCurrent()) return
            inner = undefined
            if (stage.heldItems > 0) stage.dropHeld(unexplained)
            output.complete()
          },
        })
      } catch (error) {
        fail(error)
      }
      return started
    }
    const subscription = input$.subscribe({
      next: batch => {
        const { input } = inner ?? start()
        stage.take(batch)
        if (inner?.input === input) input.next(batch)
        else stage.dropHeld(failed)
      },
      complete: () => {
        isInputDone = true
        if (inner) inner.input.complete()
        else output.complete()
      },
    })
    // At once: an operator may read the clock, or make batches, before the first one comes.
    start()
    return () => {
      subscription.unsubscribe()
      inner?.subscription?.unsubscribe()
      inner = undefined
    }
  })
  return { output$, waiting: 0, abandon: reason => stage.dropHeld(reason) }
}
