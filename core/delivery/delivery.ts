import type { Batch, Origin } from '../../model/batch.ts'
import type { BranchBook } from '../ledger.ts'
import type { Settlement } from '../settlement.ts'
import { type Attempt, type AttemptOptions, type Attempts, createAttempts } from './attempts.ts'
import type { DeliverySettings } from './schema.ts'

/** Live counts, for metrics. */
export interface DeliveryStats {
  /** By the sizer of the queue. */
  readonly queueSize: number
  readonly queueCapacity: number
  readonly inFlight: number
  readonly refusedIntakes: number
  readonly retries: number
}

interface Job {
  readonly batch: Batch
  readonly branch: BranchBook
  readonly size: number
  /** Part of a batch that was refused as a whole: it is not taken apart again. */
  readonly isPart: boolean
  readonly rejected: { items: number; reason: string }[]
  attempt: Attempt | undefined
}

interface DeliveryOptions extends Omit<AttemptOptions, 'random'> {
  readonly settlement: Settlement
  readonly random?: () => number
}

/** Between the pipelines and one exporter: its queue, its consumers, its retries. */
export class Delivery {
  readonly id: string
  private readonly settings: DeliverySettings
  private readonly options: DeliveryOptions
  private readonly attempts: Attempts
  private readonly sizeOf: (batch: Batch) => number
  private readonly waiting: Job[] = []
  private readonly active = new Set<Job>()
  private queueSize = 0
  private refusedIntakes = 0
  private onIdle: () => void = () => undefined
  /** Why everything is given up, once it is. */
  private abandoned: string | undefined

  constructor(options: DeliveryOptions) {
    this.id = options.id
    this.settings = options.settings
    this.options = options
    this.attempts = createAttempts({ random: Math.random, ...options })
    this.sizeOf = sizerOf(options.settings)
  }

  get stats(): DeliveryStats {
    return {
      queueSize: this.queueSize,
      queueCapacity: this.settings.queue.queue_size,
      inFlight: this.active.size,
      refusedIntakes: this.refusedIntakes,
      retries: this.attempts.retries,
    }
  }

  /** Asked at admission. What was accepted always enters, so this is a promise about the next intake only. */
  hasRoom(batch: Batch): boolean {
    const { enabled, num_consumers, queue_size } = this.settings.queue
    const isIdle = this.waiting.length === 0 && this.active.size < num_consumers
    const hasRoom = isIdle || (enabled && this.queueSize + this.sizeOf(batch) <= queue_size)
    if (!hasRoom) this.refusedIntakes++
    return hasRoom
  }

  /** Whether some of this intake waits or is on its way. Looks at everything: not for the hot path. */
  holds(origin: Origin): boolean {
    const has = ({ batch }: Job): boolean => batch.shares.has(origin)
    return this.waiting.some(has) || [...this.active].some(has)
  }

  put(batch: Batch, branch: BranchBook): void {
    branch.held += batch.items
    const job = this.jobOf(batch, branch, false)
    if (this.abandoned !== undefined) return this.settle(job, this.abandoned)
    this.queueSize += job.size
    this.waiting.push(job)
    this.work()
  }

  /** Counts items that the exporter reports as rejected while it has the batch in hand. */
  reject(batch: Batch, items: number, reason: string): void {
    const job = [...this.active].find(each => each.batch === batch)
    if (job) job.rejected.push({ items, reason })
    else
      this.options.logger.warn({ items, reason }, 'rejected items of a batch that it does not have in hand')
  }

  /** Resolves when nothing waits and nothing is on its way. Waits between retries are cut short. */
  async drain(): Promise<void> {
    this.attempts.hurry()
    if (this.isIdle()) return
    await new Promise<void>(resolve => (this.onIdle = resolve))
  }

  /** Gives up everything that is left, and whatever still comes. */
  abandon(reason: string): void {
    this.abandoned = reason
    this.queueSize = 0
    const left = [...this.active, ...this.waiting.splice(0)]
    this.active.clear()
    for (const job of left) {
      job.attempt?.cancel()
      this.settle(job, reason)
    }
    this.onIdle()
  }

  private work(): void {
    while (this.active.size < this.settings.queue.num_consumers) {
      const job = this.waiting.shift()
      if (!job) break
      this.queueSize -= job.size
      this.active.add(job)
      job.attempt = this.attempts.start(job.batch, (reason, isForContent) => {
        this.active.delete(job)
        if (isForContent === true && !job.isPart && job.batch.shares.size > 1) this.takeApart(job)
        else this.settle(job, reason)
        this.work()
      })
    }
    if (this.isIdle()) this.onIdle()
  }

  private isIdle(): boolean {
    return this.active.size === 0 && this.waiting.length === 0
  }

  /** One sender's broken items must not take others' with them. */
  private takeApart({ batch, branch }: Job): void {
    const parts = batch.apart().map(part => this.jobOf(part, branch, true))
    for (const { size } of parts) this.queueSize += size
    this.waiting.unshift(...parts)
  }

  /** The job leaves: delivered but for what was rejected, or dropped for a reason. */
  private settle({ batch, branch, rejected }: Job, reason?: string): void {
    let delivered = batch.items
    for (const each of reason === undefined ? rejected : [{ items: batch.items, reason }]) {
      const items = Math.min(each.items, delivered)
      delivered -= items
      branch.drops.add(this.id, each.reason, items)
    }
    branch.delivered += delivered
    branch.held -= batch.items
    for (const [origin, items] of batch.shares) this.options.settlement.settle([branch], origin, items)
  }

  private jobOf(batch: Batch, branch: BranchBook, isPart: boolean): Job {
    return { batch, branch, size: this.sizeOf(batch), isPart, rejected: [], attempt: undefined }
  }
}

function sizerOf({ queue }: DeliverySettings): (batch: Batch) => number {
  if (queue.sizer === 'items') return batch => batch.items
  return queue.sizer === 'bytes' ? batch => batch.sizeBytes : () => 1
}
