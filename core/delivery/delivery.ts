import type { Batch } from '../../model/batch.ts'
import type { Clock } from '../clock.ts'
import type { Export, Logger } from '../component.ts'
import { FullspanError } from '../errors.ts'
import type { BranchBook } from '../ledger.ts'
import { occasionally } from '../log-rate.ts'
import type { Settlement } from '../settlement.ts'
import { type Backoff, createBackoff } from './backoff.ts'
import type { DeliverySettings } from './schema.ts'

/** Between the pipelines and one exporter: its queue, its retries, its consumers. */
export interface Delivery {
  readonly id: string
  /** Asked at admission. What was accepted always enters, so this is a promise about the next intake only. */
  hasRoom(batch: Batch): boolean
  put(batch: Batch, branch: BranchBook): void
  /** Counts items that the exporter reports as rejected while it has the batch in hand. */
  reject(batch: Batch, items: number, reason: string): void
  /** Resolves when nothing waits and nothing is on its way. Waits between retries are cut short. */
  drain(): Promise<void>
  /** Gives up everything that is left. Returns how many items that were. */
  abandon(reason: string): number
  readonly stats: DeliveryStats
}

export interface DeliveryStats {
  /** By the sizer of the queue. */
  queueSize: number
  readonly queueCapacity: number
  inFlight: number
  sentItems: number
  failedItems: number
  refusedIntakes: number
  retries: number
}

interface Job {
  readonly batch: Batch
  readonly branch: BranchBook
  readonly size: number
  readonly backoff: Backoff
  firstTryMs: number
  isDone: boolean
  rejected: { items: number; reason: string }[]
  cancel: (() => void) | undefined
}

interface Options {
  readonly id: string
  readonly export: Export
  readonly settings: DeliverySettings
  readonly settlement: Settlement
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1, for jitter. */
  readonly random?: () => number
}

/** Waits between retries while draining are cut to this, unless the other side asked for more. */
const drainWaitMs = 1000

export function createDelivery(options: Options): Delivery {
  const { id, settings, settlement, clock, logger, random = Math.random } = options
  const { num_consumers: consumers, queue_size: capacity, sizer, enabled } = settings.queue
  const waiting: Job[] = []
  const active = new Set<Job>()
  /** Jobs that wait for their next try; calling one tries at once. */
  const wakers = new Map<Job, () => void>()
  const stats: DeliveryStats = {
    queueSize: 0,
    queueCapacity: capacity,
    inFlight: 0,
    sentItems: 0,
    failedItems: 0,
    refusedIntakes: 0,
    retries: 0,
  }
  const say = occasionally(logger, clock)
  let isDraining = false
  let onIdle: (() => void) | undefined

  const sizeOf = (batch: Batch): number => {
    if (sizer === 'items') return batch.items
    return sizer === 'bytes' ? batch.sizeBytes : 1
  }

  const work = (): void => {
    while (active.size < consumers) {
      const job = waiting.shift()
      if (!job) break
      stats.queueSize -= job.size
      active.add(job)
      stats.inFlight = active.size
      job.firstTryMs = clock.nowMs()
      attempt(job)
    }
    if (active.size === 0 && waiting.length === 0) onIdle?.()
  }

  const attempt = (job: Job): void => {
    wakers.delete(job)
    const controller = new AbortController()
    let isOver = false
    const over = (error?: unknown): void => {
      if (isOver || job.isDone) return
      isOver = true
      stopTimer?.()
      job.cancel = undefined
      if (error === undefined) finish(job)
      else failed(job, error)
    }
    job.rejected = []
    job.cancel = () => controller.abort()
    const stopTimer =
      settings.timeoutMs > 0
        ? clock.after(settings.timeoutMs, () => {
            over(timedOut(id, settings.timeoutMs))
            controller.abort()
          })
        : undefined
    try {
      options.export(job.batch, controller.signal).then(
        () => over(),
        error => over(error ?? new Error('rejected without an error')),
      )
    } catch (error) {
      over(error)
    }
  }

  const failed = (job: Job, error: unknown): void => {
    const canRetry = error instanceof FullspanError && error.remedy === 'retry'
    const afterMs = error instanceof FullspanError ? error.afterMs : undefined
    const waitMs = canRetry ? job.backoff.next(clock.nowMs() - job.firstTryMs, afterMs) : undefined
    if (waitMs === undefined) {
      const reason = canRetry ? 'retries exhausted' : reasonOf(error)
      say.error({ err: error, items: job.batch.items }, `cannot deliver a batch, which is dropped: ${reason}`)
      finish(job, reason)
      return
    }
    stats.retries++
    say.warn(
      { err: error, items: job.batch.items, waitMs: Math.round(waitMs) },
      'cannot deliver a batch for now; it will be tried again',
    )
    const isCut = isDraining && waitMs > drainWaitMs && (afterMs ?? 0) < waitMs
    const stop = clock.after(isCut ? drainWaitMs : waitMs, () => attempt(job))
    job.cancel = stop
    wakers.set(job, () => {
      stop()
      attempt(job)
    })
  }

  const settle = ({ batch, branch }: Job): void => {
    branch.held -= batch.items
    for (const [origin, items] of batch.shares) settlement.settle([branch], origin, items)
  }
  /** The job leaves: delivered but for what was rejected, or dropped for a reason. */
  const finish = (job: Job, reason?: string): void => {
    if (job.isDone) return
    job.isDone = true
    wakers.delete(job)
    active.delete(job)
    stats.inFlight = active.size
    let left = job.batch.items
    const dropped = reason === undefined ? job.rejected : [{ items: left, reason }]
    for (const each of dropped) {
      const items = Math.min(each.items, left)
      left -= items
      job.branch.drops.add(id, each.reason, items)
      stats.failedItems += items
    }
    job.branch.delivered += left
    stats.sentItems += left
    settle(job)
    work()
  }

  return {
    id,
    stats,
    hasRoom(batch) {
      const isFree = active.size < consumers
      const fits = enabled
        ? stats.queueSize + sizeOf(batch) <= capacity || (waiting.length === 0 && isFree)
        : waiting.length === 0 && isFree
      if (!fits) stats.refusedIntakes++
      return fits
    },
    put(batch, branch) {
      branch.held += batch.items
      const size = sizeOf(batch)
      stats.queueSize += size
      const backoff = createBackoff(settings.retry, random)
      waiting.push({
        batch,
        branch,
        size,
        backoff,
        firstTryMs: 0,
        isDone: false,
        rejected: [],
        cancel: undefined,
      })
      work()
    },
    reject(batch, items, reason) {
      for (const job of active) {
        if (job.batch !== batch) continue
        job.rejected.push({ items, reason })
        return
      }
      logger.warn({ items, reason }, 'rejected items of a batch that it does not have in hand')
    },
    async drain() {
      isDraining = true
      for (const wake of [...wakers.values()]) wake()
      if (active.size === 0 && waiting.length === 0) return
      await new Promise<void>(resolve => (onIdle = resolve))
    },
    abandon(reason) {
      const left = [...active, ...waiting.splice(0)]
      stats.queueSize = 0
      let items = 0
      for (const job of left) {
        items += job.batch.items
        const { cancel } = job
        finish(job, reason)
        cancel?.()
      }
      return items
    },
  }
}

function timedOut(id: string, timeoutMs: number): FullspanError {
  return new FullspanError({
    code: 'delivery.timeout',
    remedy: 'retry',
    message: `${id} did not deliver a batch within ${timeoutMs} ms.`,
  })
}

/** A reason for the ledger: few and stable, so the message stays in the log. */
function reasonOf(error: unknown): string {
  return error instanceof FullspanError ? error.code : 'component failed'
}
