import type { Batch } from '../../model/batch.ts'
import type { Clock } from '../clock.ts'
import type { Export, Logger } from '../component.ts'
import type { BranchBook } from '../ledger.ts'
import type { Settlement } from '../settlement.ts'
import { type Attempt, createAttempts } from './attempts.ts'
import type { DeliverySettings } from './schema.ts'

/** Between the pipelines and one exporter: its queue, its consumers, its retries. */
export interface Delivery {
  readonly id: string
  /** Asked at admission. What was accepted always enters, so this is a promise about the next intake only. */
  hasRoom(batch: Batch): boolean
  put(batch: Batch, branch: BranchBook): void
  /** Counts items that the exporter reports as rejected while it has the batch in hand. */
  reject(batch: Batch, items: number, reason: string): void
  /** Resolves when nothing waits and nothing is on its way. Waits between retries are cut short. */
  drain(): Promise<void>
  /** Gives up everything that is left, and whatever still comes. */
  abandon(reason: string): void
  readonly stats: DeliveryStats
}

/** Live counts, for metrics. */
export interface DeliveryStats {
  /** By the sizer of the queue. */
  readonly queueSize: number
  readonly queueCapacity: number
  readonly inFlight: number
  readonly sentItems: number
  readonly failedItems: number
  readonly refusedIntakes: number
  readonly retries: number
}

interface Job {
  readonly batch: Batch
  readonly branch: BranchBook
  readonly size: number
  rejected: { items: number; reason: string }[]
  attempt: Attempt | undefined
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

export function createDelivery(options: Options): Delivery {
  const { id, settings, settlement, logger } = options
  const { num_consumers: consumers, enabled } = settings.queue
  const attempts = createAttempts({ random: Math.random, ...options })
  const sizeOf = sizerOf(settings)
  const waiting: Job[] = []
  const active = new Set<Job>()
  const counts = { queueSize: 0, sentItems: 0, failedItems: 0, refusedIntakes: 0 }
  let onIdle: () => void = () => undefined
  let abandoned: string | undefined

  const work = (): void => {
    while (active.size < consumers) {
      const job = waiting.shift()
      if (!job) break
      counts.queueSize -= job.size
      active.add(job)
      job.attempt = attempts.start(job.batch, reason => finish(job, reason))
    }
    if (active.size === 0 && waiting.length === 0) onIdle()
  }
  /** The job leaves: delivered but for what was rejected, or dropped for a reason. */
  const finish = (job: Job, reason?: string): void => {
    active.delete(job)
    const { batch, branch } = job
    let delivered = batch.items
    for (const each of reason === undefined ? job.rejected : [{ items: batch.items, reason }]) {
      const items = Math.min(each.items, delivered)
      delivered -= items
      branch.drops.add(id, each.reason, items)
      counts.failedItems += items
    }
    branch.delivered += delivered
    counts.sentItems += delivered
    branch.held -= batch.items
    for (const [origin, items] of batch.shares) settlement.settle([branch], origin, items)
    work()
  }
  return {
    id,
    stats: {
      get queueSize() {
        return counts.queueSize
      },
      queueCapacity: settings.queue.queue_size,
      get inFlight() {
        return active.size
      },
      get sentItems() {
        return counts.sentItems
      },
      get failedItems() {
        return counts.failedItems
      },
      get refusedIntakes() {
        return counts.refusedIntakes
      },
      get retries() {
        return attempts.retries
      },
    },
    hasRoom(batch) {
      const isIdle = waiting.length === 0 && active.size < consumers
      const fits = enabled && counts.queueSize + sizeOf(batch) <= settings.queue.queue_size
      if (!fits && !isIdle) counts.refusedIntakes++
      return fits || isIdle
    },
    put(batch, branch) {
      branch.held += batch.items
      const job: Job = { batch, branch, size: sizeOf(batch), rejected: [], attempt: undefined }
      if (abandoned === undefined) {
        counts.queueSize += job.size
        waiting.push(job)
        work()
      } else finish(job, abandoned)
    },
    reject(batch, items, reason) {
      const job = [...active].find(each => each.batch === batch)
      if (job) job.rejected.push({ items, reason })
      else logger.warn({ items, reason }, 'rejected items of a batch that it does not have in hand')
    },
    async drain() {
      attempts.hurry()
      if (active.size === 0 && waiting.length === 0) return
      await new Promise<void>(resolve => (onIdle = resolve))
    },
    abandon(reason) {
      abandoned = reason
      counts.queueSize = 0
      const left = [...active, ...waiting.splice(0)]
      for (const job of left) {
        job.attempt?.cancel()
        finish(job, reason)
      }
    },
  }
}

function sizerOf({ queue }: DeliverySettings): (batch: Batch) => number {
  if (queue.sizer === 'items') return batch => batch.items
  return queue.sizer === 'bytes' ? batch => batch.sizeBytes : () => 1
}
