import type { Batch, Origin } from '../../model/batch.ts'
import type { Span } from '../../model/span.ts'
import type { Logger } from '../component.ts'
import type { PipelineBook } from '../ledger.ts'
import { IntakeAccount, type Settlement, sharesOf } from '../settlement.ts'

interface StageOptions {
  readonly id: string
  readonly book: PipelineBook
  readonly settlement: Settlement
  readonly logger: Logger
}

/** The books of one processor in one pipeline: what it has in hand, by origin, and what became of it. */
export class Stage {
  readonly id: string
  /** Items that came and went, for metrics. */
  incoming = 0
  outgoing = 0
  /** Items in hand; what waits in front of it is not among them. */
  heldItems = 0
  private readonly held = new Map<Origin | undefined, number>()
  private readonly book: PipelineBook
  private readonly settlement: Settlement
  private readonly logger: Logger
  private hasWarned = false

  constructor({ id, book, settlement, logger }: StageOptions) {
    this.id = id
    this.book = book
    this.settlement = settlement
    this.logger = logger
  }

  holds(origin: Origin): boolean {
    return this.held.has(origin)
  }

  /** A batch waits in front of it. */
  queue(batch: Batch): void {
    this.book.held += batch.items
    this.markHolder(batch)
  }

  /** A batch that waited is taken, or given up. */
  unqueue(batch: Batch): void {
    this.book.held -= batch.items
  }

  take(batch: Batch): void {
    this.incoming += batch.items
    for (const [origin, items] of batch.shares) this.hold(origin, items)
    this.markHolder(batch)
  }

  /** What it gives beyond what it has counts as created by it. */
  emit(batch: Batch): void {
    this.outgoing += batch.items
    for (const [origin, items] of batch.shares) {
      const excess = this.release(origin, items)
      if (excess === 0) continue
      this.book.created += excess
      this.settlement.add(this.book.branches, origin, excess)
    }
  }

  drop(items: Batch | readonly Span[], reason: string): void {
    this.book.drops.add(this.id, reason, this.settle(items))
  }

  merge(items: Batch | readonly Span[]): void {
    this.book.merged += this.settle(items)
  }

  created(items: number): void {
    this.book.created += items
    this.hold(undefined, items)
  }

  /** Drops everything in hand. Returns how many items that were. */
  dropHeld(reason: string): number {
    const dropped = this.heldItems
    for (const [origin, items] of this.held) this.settlement.settle(this.book.branches, origin, items)
    this.held.clear()
    this.book.held -= dropped
    this.heldItems = 0
    this.book.drops.add(this.id, reason, dropped)
    return dropped
  }

  /** Settles what is in hand; the same items twice are settled once. Returns how many were. */
  private settle(items: Batch | readonly Span[]): number {
    let settled = 0
    for (const [origin, count] of sharesOf(items)) {
      const excess = this.release(origin, count)
      this.settlement.settle(this.book.branches, origin, count - excess)
      settled += count - excess
      if (excess > 0) this.warnOnce(excess)
    }
    return settled
  }

  private hold(origin: Origin | undefined, items: number): void {
    this.held.set(origin, (this.held.get(origin) ?? 0) + items)
    this.heldItems += items
    this.book.held += items
  }

  /** Takes items out of the hand; what is asked for beyond what is there comes back. */
  private release(origin: Origin | undefined, items: number): number {
    const known = this.held.get(origin) ?? 0
    const released = Math.min(known, items)
    if (released === known) this.held.delete(origin)
    else this.held.set(origin, known - released)
    this.heldItems -= released
    this.book.held -= released
    return items - released
  }

  private markHolder(batch: Batch): void {
    for (const origin of batch.shares.keys()) if (origin instanceof IntakeAccount) origin.holder = this.id
  }

  private warnOnce(items: number): void {
    if (this.hasWarned) return
    this.hasWarned = true
    this.logger.warn({ items }, 'settled items that it did not have; this is said once')
  }
}
