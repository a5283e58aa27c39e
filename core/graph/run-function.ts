import { Observable, type Subscriber } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { BatchFunction } from '../component.ts'
import { failed, type Place, type RunningProcessor, unexplained, unreachable } from './running-processor.ts'

type Result = Batch | readonly Batch[] | undefined

/**
 * Runs a function for one batch after the other, in order; the next one waits until a promise is settled. A throw drops the batch in
 * hand, and what a call neither returns nor explains counts as dropped.
 */
export function runFunction(call: BatchFunction, { stage, logger, input$ }: Place): RunningProcessor {
  const waiting: Batch[] = []
  const state = { isBusy: false, isInputDone: false, isAbandoned: false }

  const emit = (result: Result, output: Subscriber<Batch>): void => {
    if (state.isAbandoned) return
    const batches = result === undefined ? [] : 'items' in result ? [result] : result
    for (const batch of batches) stage.emit(batch)
    if (stage.heldItems > 0) stage.dropHeld(unexplained)
    for (const batch of batches) if (batch.items > 0) output.next(batch)
  }
  const fail = (error: unknown): void => {
    const dropped = stage.dropHeld(failed)
    logger.error({ err: error, dropped }, 'failed on a batch, which is dropped')
  }
  const start = (batch: Batch, output: Subscriber<Batch>): void => {
    stage.take(batch)
    try {
      const result = call(batch)
      if (!isPromise(result)) return emit(result, output)
      state.isBusy = true
      void result
        .then(settled => emit(settled, output))
        .catch(fail)
        .finally(() => next(output))
    } catch (error) {
      fail(error)
    }
  }
  const next = (output: Subscriber<Batch>): void => {
    state.isBusy = false
    const batch = waiting.shift()
    if (!batch) return completeIfDone(output)
    stage.unqueue(batch)
    start(batch, output)
    if (!isWorking()) next(output)
  }
  const isWorking = (): boolean => state.isBusy
  const completeIfDone = (output: Subscriber<Batch>): void => {
    if (state.isInputDone && !state.isBusy) output.complete()
  }
  const output$ = new Observable<Batch>(output =>
    input$.subscribe({
      next: batch => {
        if (!state.isBusy) return start(batch, output)
        stage.queue(batch)
        waiting.push(batch)
      },
      error: unreachable,
      complete: () => {
        state.isInputDone = true
        completeIfDone(output)
      },
    }),
  )
  return {
    output$,
    get waiting() {
      return waiting.length
    },
    abandon(reason) {
      state.isAbandoned = true
      for (const batch of waiting.splice(0)) {
        stage.unqueue(batch)
        stage.take(batch)
      }
      stage.dropHeld(reason)
    },
  }
}

/** Any thenable: a plugin may bring promises of its own. */
function isPromise(result: Result | Promise<Result>): result is Promise<Result> {
  return result !== undefined && 'then' in result
}
