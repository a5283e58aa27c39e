import type { Observable } from 'rxjs'
import type { Batch } from '../../model/batch.ts'
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
  readonly logger: Logger
  /** Never fails: whatever stands before is wrapped too. */
  readonly input$: Observable<Batch>
}

/** Reasons in the ledger that core gives for a component. */
export const failed = 'component failed'
export const unexplained = 'gone without a reason'

/** For streams that core made, which do not fail. */
export function unreachable(error: unknown): never {
  throw new Error('A wrapped stream failed, which is a fault in Fullspan.', { cause: error })
}
