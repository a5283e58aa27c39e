import { Observable, type Subscriber } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { BatchFunction } from '../component.ts'
import { failed, type Place, type RunningProcessor, unexplained, unreachable } from './running-processor.ts'

type Result = Batch | readonly Batch[] | undefined
type Call = (batch: Batch) => ReturnType<BatchFunction>

/**
 * Runs a function for one batch after the other, in order; the next one waits until a promise is settled. A throw drops the batch in
 * hand, and what a call neither returns nor explains counts as dropped.
 */
export function runFunction(call: Call, place: Place): RunningProcessor {
  let line: Line | undefined
  const output$ = new Observable<Batch>(output => {
    const current = new Line(call, place, output)
    line = current
    return place.input$.subscribe({
      next: batch => current.put(batch),
      error: unreachable,
      complete: () => current.finish(),
    })
  })
  return {
    output$,
    get waiting() {
      return line?.waiting.length ?? 0
    },
    abandon: reason => line?.abandon(reason),
  }
}

/** Batches in a line before the function. */
class Line {
  readonly waiting: Batch[] = []
  private readonly call: Call
  private readonly place: Place
  private readonly output: Subscriber<Batch>
  private isBusy = false
  private isInputDone = false
  private isAbandoned = false

  constructor(call: Call, place: Place, output: Subscriber<Batch>) {
    this.call = call
    this.place = place
    this.output = output
  }

  put(batch: Batch): void {
    if (!this.isBusy) return this.start(batch)
    this.place.stage.queue(batch)
    this.waiting.push(batch)
  }

  finish(): void {
    this.isInputDone = true
    if (!this.isBusy) this.output.complete()
  }

  abandon(reason: string): void {
    const { stage } = this.place
    this.isAbandoned = true
    for (const batch of this.waiting.splice(0)) {
      stage.unqueue(batch)
      stage.take(batch)
    }
    stage.dropHeld(reason)
  }

  private start(batch: Batch): void {
    this.place.stage.take(batch)
    try {
      const result = this.call(batch)
      if (isPromise(result)) this.await(result)
      else this.emit(result)
    } catch (error) {
      this.fail(error)
    }
  }

  private await(result: Promise<Result>): void {
    this.isBusy = true
    void Promise.resolve(result)
      .then(settled => this.emit(settled))
      .catch((error: unknown) => this.fail(error))
      .finally(() => this.next())
  }

  private next(): void {
    this.isBusy = false
    while (this.isFree() && this.waiting.length > 0) {
      const batch = this.waiting.shift()!
      this.place.stage.unqueue(batch)
      this.start(batch)
    }
    if (this.isFree() && this.isInputDone) this.output.complete()
  }

  private isFree(): boolean {
    return !this.isBusy
  }

  private emit(result: Result): void {
    if (this.isAbandoned) return
    const { stage } = this.place
    const batches = result === undefined ? [] : 'items' in result ? [result] : result
    for (const batch of batches) stage.emit(batch)
    if (stage.heldItems > 0) stage.dropHeld(unexplained)
    for (const batch of batches) if (batch.items > 0) this.output.next(batch)
  }

  private fail(error: unknown): void {
    const dropped = this.place.stage.dropHeld(failed)
    this.place.logger.error({ err: error, dropped }, 'failed on a batch, which is dropped')
  }
}

/** Any thenable: a plugin may bring promises of its own. */
function isPromise(result: Result | Promise<Result>): result is Promise<Result> {
  return result !== undefined && 'then' in result
}
