import { Observable, Subject, type Subscriber, type Subscription } from 'rxjs'
import { Batch } from '../../model/batch.ts'
import type { BatchOperator } from '../component.ts'
import {
  failed,
  notABatch,
  type Place,
  type RunningProcessor,
  unexplained,
  unreachable,
} from './running-processor.ts'

/** One life of the operator, from its application to its failure or end. */
interface Life {
  readonly input: Subject<Batch>
  subscription: Subscription | undefined
}

/**
 * Runs an operator. If it fails, or completes before its source does, what it has in hand is dropped, and it is applied anew to
 * the batches that follow.
 */
export function runOperator({ operator }: BatchOperator, { stage, say, input$ }: Place): RunningProcessor {
  const state: { life: Life | undefined; isInputDone: boolean } = { life: undefined, isInputDone: false }

  const start = (output: Subscriber<Batch>): Life => {
    const life: Life = { input: new Subject<Batch>(), subscription: undefined }
    state.life = life
    const fail = (error: unknown): void => {
      if (state.life !== life) return
      state.life = undefined
      life.subscription?.unsubscribe()
      const dropped = stage.dropHeld(failed)
      say.error({ err: error, dropped }, 'failed; what it had in hand is dropped, and it starts anew')
      if (state.isInputDone) output.complete()
    }
    const end = (): void => {
      if (!state.isInputDone) return fail(new Error('completed before its source'))
      if (state.life !== life) return
      state.life = undefined
      if (stage.heldItems > 0) {
        const dropped = stage.dropHeld(unexplained)
        say.warn({ dropped }, 'neither gave back nor explained items, which count as dropped')
      }
      output.complete()
    }
    const give = (batch: unknown): void => {
      if (state.life !== life) return
      if (!(batch instanceof Batch)) return fail(notABatch(batch))
      stage.emit(batch)
      if (batch.items > 0) output.next(batch)
    }
    try {
      life.subscription = operator(life.input).subscribe({ next: give, error: fail, complete: end })
    } catch (error) {
      fail(error)
    }
    return life
  }
  const output$ = new Observable<Batch>(output => {
    const subscription = input$.subscribe({
      next: batch => {
        const life = state.life ?? start(output)
        stage.take(batch)
        if (state.life === life) life.input.next(batch)
        else stage.dropHeld(failed)
      },
      error: unreachable,
      complete: () => {
        state.isInputDone = true
        if (state.life) state.life.input.complete()
        else output.complete()
      },
    })
    // At once: an operator may read the clock, or make batches, before the first one comes.
    start(output)
    return () => {
      subscription.unsubscribe()
      state.life?.subscription?.unsubscribe()
      state.life = undefined
    }
  })
  return { output$, waiting: 0, abandon: reason => void stage.dropHeld(reason) }
}
