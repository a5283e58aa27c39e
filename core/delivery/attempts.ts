import type { Batch } from '../../model/batch.ts'
import type { Clock } from '../clock.ts'
import type { Export, Logger } from '../component.ts'
import { FullspanError } from '../errors.ts'
import { occasionally } from '../log-rate.ts'
import { type Backoff, createBackoff } from './backoff.ts'
import type { DeliverySettings } from './schema.ts'

/** What all tries of one exporter share. */
export interface AttemptOptions {
  readonly id: string
  readonly export: Export
  readonly settings: DeliverySettings
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1, for jitter. */
  readonly random: () => number
}

/** Called once: without a reason when the other side has the batch. `isForContent`: another batch may fare better. */
export type OnEnd = (reason?: string, isForContent?: boolean) => void

/** Tries batches until they are delivered or given up. */
export interface Attempts {
  start(batch: Batch, onEnd: OnEnd): Attempt
  /** From here on waits between tries are short; those that are running end now. */
  hurry(): void
  readonly retries: number
}

export interface Attempt {
  /** Stops trying and tells the exporter; `onEnd` is not called. */
  cancel(): void
}

/** Waits between tries while draining are cut to this, unless the other side asked for more. */
const hurriedWaitMs = 1000

/** How an exporter's tries go, seen from one batch. */
interface Pace {
  readonly say: Pick<Logger, 'warn' | 'error'>
  /** Ends of waits that may be brought forward. */
  readonly wakers: Set<() => void>
  isHurried: boolean
  retries: number
}

export function createAttempts(options: AttemptOptions): Attempts {
  const pace: Pace = {
    say: occasionally(options.logger, options.clock),
    wakers: new Set(),
    isHurried: false,
    retries: 0,
  }
  return {
    start(batch, onEnd) {
      const attempt = new BatchAttempt(options, pace, batch, onEnd)
      attempt.try()
      return attempt
    },
    get retries() {
      return pace.retries
    },
    hurry() {
      pace.isHurried = true
      for (const wake of [...pace.wakers]) wake()
    },
  }
}

/** One batch on its way: a try, a wait, a try, until one of them ends it. */
class BatchAttempt implements Attempt {
  private readonly options: AttemptOptions
  private readonly pace: Pace
  private readonly batch: Batch
  private readonly onEnd: OnEnd
  private readonly backoff: Backoff
  private readonly startMs: number
  /** Ends whatever is going on now, a try or a wait. */
  private stop: () => void = () => undefined

  constructor(options: AttemptOptions, pace: Pace, batch: Batch, onEnd: OnEnd) {
    this.options = options
    this.pace = pace
    this.batch = batch
    this.onEnd = onEnd
    this.backoff = createBackoff(options.settings.retry, options.random)
    this.startMs = options.clock.nowMs()
  }

  cancel(): void {
    this.stop()
  }

  try(): void {
    const { id, settings, clock } = this.options
    const controller = new AbortController()
    let isOver = false
    const over = (): boolean => {
      if (isOver) return false
      stopTimer?.()
      return (isOver = true)
    }
    const succeed = (): void => {
      if (over()) this.onEnd()
    }
    const fail = (error: unknown): void => {
      if (over()) this.retryOrDrop(error)
    }
    const stopTimer =
      settings.timeoutMs > 0
        ? clock.after(settings.timeoutMs, () => {
            fail(timedOut(id, settings.timeoutMs))
            controller.abort()
          })
        : undefined
    this.stop = () => {
      over()
      controller.abort()
    }
    try {
      // A plugin in JavaScript may deliver without a promise.
      Promise.resolve(this.options.export(this.batch, controller.signal)).then(succeed, fail)
    } catch (error) {
      fail(error)
    }
  }

  private retryOrDrop(error: unknown): void {
    const { say } = this.pace
    const { items } = this.batch
    const asked = error instanceof FullspanError && error.remedy === 'retry' ? error : undefined
    const elapsedMs = this.options.clock.nowMs() - this.startMs
    const waitMs = asked && this.backoff.next(elapsedMs, asked.afterMs)
    if (waitMs === undefined) {
      const reason = asked ? 'retries exhausted' : reasonOf(error)
      say.error({ err: error, items }, `a batch cannot be delivered: ${reason}`)
      return this.onEnd(reason, error instanceof FullspanError && error.retryApart)
    }
    const fields = { err: error, items, waitMs: Math.round(waitMs) }
    say.warn(fields, 'a batch cannot be delivered for now and will be tried again')
    this.pace.retries++
    const askedMs = asked?.afterMs ?? 0
    const shortened = Math.max(Math.min(waitMs, hurriedWaitMs), askedMs)
    this.wait(this.pace.isHurried ? shortened : waitMs, askedMs)
  }

  /** `askedMs`: how much of it the other side asked for, which is waited also by who is in a hurry. */
  private wait(waitMs: number, askedMs: number): void {
    const { wakers } = this.pace
    const { clock } = this.options
    const beganMs = clock.nowMs()
    const next = (): void => {
      this.stop()
      this.try()
    }
    const wake = (): void => {
      const leftMs = askedMs - (clock.nowMs() - beganMs)
      if (leftMs <= 0) return next()
      this.stop()
      this.wait(leftMs, leftMs)
    }
    const stopTimer = clock.after(waitMs, next)
    wakers.add(wake)
    this.stop = () => {
      wakers.delete(wake)
      stopTimer()
    }
  }
}

function timedOut(id: string, timeoutMs: number): FullspanError {
  return new FullspanError({
    code: 'DELIVERY_TIMEOUT',
    remedy: 'retry',
    message: `${id} did not deliver a batch within ${timeoutMs} ms.`,
  })
}

/** A reason for the ledger: few and stable, so the message stays in the log. */
function reasonOf(error: unknown): string {
  return error instanceof FullspanError ? error.code : 'component failed'
}
