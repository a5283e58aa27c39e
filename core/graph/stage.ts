import type { Batch, Origin } from '../../model/batch.ts'
import type { Span } from '../../model/span.ts'
import type { Logger } from '../component.ts'
import type { PipelineBook } from '../ledger.ts'
import { IntakeAccount, type Settlement, sharesOf } from '../settlement.ts'

/** The books of one processor in one pipeline: what it has in hand, by origin, and what became of it. */
export interface Stage {
  readonly id: string
  readonly heldItems: number
  readonly incoming: number
  readonly outgoing: number
  /** A batch waits in front of it. */
  queue(batch: Batch): void
  unqueue(batch: Batch): void
  take(batch: Batch): void
  emit(batch: Batch): void
  drop(items: Batch | readonly Span[], reason: string): void
  merge(items: Batch | readonly Span[]): void
  created(items: number): void
  /** Drops everything in hand. */
  dropHeld(reason: string): number
}

export function createStage(options: {
  id: string
  book: PipelineBook
  settlement: Settlement
  logger: Logger
}): Stage {
  const { id, book, settlement, logger } = options
  const held = new Map<Origin | undefined, number>()
  let heldItems = 0
  let incoming = 0
  let outgoing = 0
  let hasWarned = false

  /** Takes items out of the hand; what is asked for beyond what is there comes back. */
  const release = (origin: Origin | undefined, items: number): number => {
    const known = held.get(origin) ?? 0
    const released = Math.min(known, items)
    if (released === known) held.delete(origin)
    else held.set(origin, known - released)
    heldItems -= released
    book.held -= released
    return items - released
  }
  const hold = (origin: Origin | undefined, items: number): void => {
    held.set(origin, (held.get(origin) ?? 0) + items)
    heldItems += items
    book.held += items
  }
  /** Settles what is in hand; the same items twice are settled once. Returns how many were. */
  const settle = (items: Batch | readonly Span[]): number => {
    let settled = 0
    for (const [origin, count] of sharesOf(items)) {
      const excess = release(origin, count)
      settlement.settle(book.branches, origin, count - excess)
      settled += count - excess
      if (excess === 0 || hasWarned) continue
      hasWarned = true
      logger.warn({ component: id, items: excess }, 'settled items that it did not have; this is said once')
    }
    return settled
  }
  return {
    id,
    get heldItems() {
      return heldItems
    },
    get incoming() {
      return incoming
    },
    get outgoing() {
      return outgoing
    },
    queue(batch) {
      book.held += batch.items
      for (const origin of batch.shares.keys()) if (origin instanceof IntakeAccount) origin.holder = id
    },
    unqueue(batch) {
      book.held -= batch.items
    },
    take(batch) {
      incoming += batch.items
      for (const [origin, items] of batch.shares) {
        hold(origin, items)
        if (origin instanceof IntakeAccount) origin.holder = id
      }
    },
    emit(batch) {
      outgoing += batch.items
      for (const [origin, items] of batch.shares) {
        const excess = release(origin, items)
        if (excess === 0) continue
        book.created += excess
        settlement.add(book.branches, origin, excess)
      }
    },
    drop: (items, reason) => book.drops.add(id, reason, settle(items)),
    merge(items) {
      book.merged += settle(items)
    },
    created(items) {
      book.created += items
      hold(undefined, items)
    },
    dropHeld(reason) {
      const dropped = heldItems
      for (const [origin, items] of held) settlement.settle(book.branches, origin, items)
      held.clear()
      book.held -= heldItems
      heldItems = 0
      book.drops.add(id, reason, dropped)
      return dropped
    },
  }
}
