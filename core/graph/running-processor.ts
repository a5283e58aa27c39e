import type { Observable } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../component.ts'
import type { Stage } from './stage.ts'

/** A processor in its place: batches in, batches out, and what waits in front of it. */
export interface RunningProcessor {
  readonly output$: Observable<Batch>
  /** Batches that wait for an asynchronous call to end. */
  readonly waiting: number
  /** At the end of the drain time: drops what it has and what waits. */
  abandon(reason: string): void
}

export interface Place {
  readonly stage: Stage
  /** For what may happen with every batch. */
  readonly say: Pick<Logger, 'warn' | 'error'>
  readonly clock: Clock
  /** Longest time for one asynchronous call, in ms. 0: no limit. */
  readonly timeoutMs: number
  /** Never fails: whatever stands before is wrapped too. */
  readonly input$: Observable<Batch>
}

/** Reasons in the ledger that core gives for a component. */
export const failed = 'component failed'
export const hung = 'component hung'
export const unexplained = 'gone without a reason'

/** For what a component gave where a Batch belongs. */
export function notABatch(found: unknown): TypeError {
  const what = typeof found === 'object' && found !== null ? found.constructor.name : String(found)
  return new TypeError(`gave ${what} where a Batch of this instance of fullspan belongs`)
}

/** For streams that core made, which do not fail. */
export function unreachable(error: unknown): never {
  throw new Error('A wrapped stream failed, which is a fault in Fullspan.', { cause: error })
}
