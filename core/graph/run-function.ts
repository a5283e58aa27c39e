import { Observable, type Subscriber } from 'rxjs'
import { Batch } from '../../model/batch.ts'
import type { BatchFunction } from '../component.ts'
import {
  failed,
  hung,
  notABatch,
  type Place,
  type RunningProcessor,
  unexplained,
  unreachable,
} from './running-processor.ts'

type Result = Awaited<ReturnType<BatchFunction>>
type Call = (batch: Batch) => ReturnType<BatchFunction>

/**
 * Runs a function for one batch after the other, in order; the next one waits until a promise is settled, or has taken too long. A throw
 * drops the batch in hand, and what a call neither returns nor explains counts as dropped.
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

/** So many calls in a row that took too long, and nothing is given to it for as long as it had for one. */
const longestHangs = 2

/** Batches in a line before the function. */
class Line {
  readonly waiting: Batch[] = []
  private readonly call: Call
  private readonly place: Place
  private readonly output: Subscriber<Batch>
  private isBusy = false
  private isInputDone = false
  private isAbandoned = false
  private hangs = 0
  /** Until then it is passed over: its line must not make receivers refuse what others could take. */
  private hungUntilMs = 0

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
    const { stage, clock } = this.place
    stage.take(batch)
    if (this.hungUntilMs > 0 && clock.nowMs() < this.hungUntilMs) {
      stage.dropHeld(hung)
      return
    }
    try {
      const result = this.call(batch)
      if (isPromise(result)) this.await(result)
      else this.emit(result)
    } catch (error) {
      this.fail(error)
    }
  }

  private await(result: PromiseLike<Result>): void {
    this.isBusy = true
    const { clock, timeoutMs } = this.place
    let isOver = false
    const end = (what: () => void): void => {
      if (isOver) {
        // Late, but it lives.
        this.hangs = 0
        this.hungUntilMs = 0
        return
      }
      isOver = true
      stopTimer?.()
      try {
        what()
      } catch (error) {
        this.fail(error)
      }
      this.next()
    }
    const stopTimer = timeoutMs > 0 ? clock.after(timeoutMs, () => end(() => this.giveUp())) : undefined
    const emit = (settled: Result): void => {
      this.hangs = 0
      this.emit(settled)
    }
    Promise.resolve(result).then(
      settled => end(() => emit(settled)),
      (error: unknown) => end(() => this.fail(error)),
    )
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
    const { stage, say } = this.place
    const batches = batchesOf(result)
    for (const batch of batches) stage.emit(batch)
    if (stage.heldItems > 0) {
      const dropped = stage.dropHeld(unexplained)
      say.warn({ dropped }, 'neither gave back nor explained items, which count as dropped')
    }
    for (const batch of batches) if (batch.items > 0) this.output.next(batch)
  }

  private fail(error: unknown): void {
    const dropped = this.place.stage.dropHeld(failed)
    this.place.say.error({ err: error, dropped }, 'failed on a batch, which is dropped')
  }

  private giveUp(): void {
    const { stage, say, clock, timeoutMs } = this.place
    const dropped = stage.dropHeld(hung)
    this.hangs++
    if (this.hangs >= longestHangs) this.hungUntilMs = clock.nowMs() + timeoutMs
    say.error({ dropped, timeoutMs }, 'has not given an answer for a batch, which is dropped')
  }
}

/** What a call gave, which in JavaScript can be anything. */
function batchesOf(result: Result): readonly Batch[] {
  if (result === undefined) return []
  const batches: readonly unknown[] = Array.isArray(result) ? result : [result]
  return batches.map(batch => {
    if (batch instanceof Batch) return batch
    throw notABatch(batch)
  })
}

/** Any thenable: a plugin may bring promises of its own. */
function isPromise(result: ReturnType<BatchFunction>): result is Promise<Result> {
  return typeof result === 'object' && 'then' in result
}
