import type { Batch } from '../../model/batch.ts'
import type { Clock } from '../clock.ts'
import type { Export, Logger } from '../component.ts'
import { FullspanError } from '../errors.ts'
import { occasionally } from '../log-rate.ts'
import { createBackoff } from './backoff.ts'
import type { DeliverySettings } from './schema.ts'

/** Tries one batch until it is delivered or given up. */
export interface Attempts {
  /** `onEnd` is called once: without a reason when the other side has the batch. */
  start(batch: Batch, onEnd: (reason?: string) => void): Attempt
  /** From here on waits between tries are short; those that are running end now. */
  hurry(): void
  readonly retries: number
}

export interface Attempt {
  /** Stops trying and tells the exporter; `onEnd` is not called. */
  cancel(): void
}

interface Options {
  readonly id: string
  readonly export: Export
  readonly settings: DeliverySettings
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1, for jitter. */
  readonly random: () => number
}

/** Waits between tries while draining are cut to this, unless the other side asked for more. */
const hurriedWaitMs = 1000

export function createAttempts(options: Options): Attempts {
  const { id, settings, clock, logger, random } = options
  const say = occasionally(logger, clock)
  const wakers = new Set<() => void>()
  const state = { isHurried: false, retries: 0 }

  const start = (batch: Batch, onEnd: (reason?: string) => void): Attempt => {
    const backoff = createBackoff(settings.retry, random)
    const startMs = clock.nowMs()
    let cancel: () => void = () => undefined

    const attempt = (): void => {
      const controller = new AbortController()
      let isOver = false
      const over = (error?: unknown): void => {
        if (isOver) return
        isOver = true
        stopTimer()
        if (error === undefined) onEnd()
        else retryOrDrop(error)
      }
      const stopTimer = timer(() => {
        over(timedOut(id, settings.timeoutMs))
        controller.abort()
      })
      cancel = () => {
        isOver = true
        stopTimer()
        controller.abort()
      }
      try {
        options.export(batch, controller.signal).then(
          () => over(),
          (error: unknown) => over(error ?? new Error('rejected without an error')),
        )
      } catch (error) {
        over(error)
      }
    }
    const retryOrDrop = (error: unknown): void => {
      const asked = error instanceof FullspanError && error.remedy === 'retry' ? error : undefined
      const waitMs = asked && backoff.next(clock.nowMs() - startMs, asked.afterMs)
      if (waitMs === undefined) {
        const reason = asked ? 'retries exhausted' : reasonOf(error)
        say.error({ err: error, items: batch.items }, `a batch cannot be delivered and is dropped: ${reason}`)
        return onEnd(reason)
      }
      say.warn(
        { err: error, items: batch.items, waitMs: Math.round(waitMs) },
        'a batch cannot be delivered for now and will be tried again',
      )
      state.retries++
      const shortened = Math.max(Math.min(waitMs, hurriedWaitMs), asked?.afterMs ?? 0)
      waitThen(state.isHurried ? shortened : waitMs, attempt)
    }
    const waitThen = (waitMs: number, call: () => void): void => {
      const stop = clock.after(waitMs, () => wake())
      cancel = () => {
        wakers.delete(wake)
        stop()
      }
      const wake = (): void => {
        cancel()
        call()
      }
      wakers.add(wake)
    }
    attempt()
    return { cancel: () => cancel() }
  }
  const timer = (call: () => void): (() => void) =>
    settings.timeoutMs > 0 ? clock.after(settings.timeoutMs, call) : () => undefined

  return {
    start,
    get retries() {
      return state.retries
    },
    hurry() {
      state.isHurried = true
      for (const wake of [...wakers]) wake()
    },
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
