import type { Batch, Signal } from '../../model/batch.ts'
import type { Answer, Refusal } from '../component.ts'
import type { IntakeAccount, Settlement } from '../settlement.ts'
import type { Shared } from './context.ts'
import type { Pipeline } from './pipeline.ts'
import type { ReceiverStats } from './receiver.ts'

interface Options {
  readonly routes: ReadonlyMap<Signal, readonly Pipeline[]>
  readonly settlement: Settlement
  readonly statsOf: (signal: Signal) => ReceiverStats
  readonly shared: Shared
}

const accepted: Answer = { kind: 'accepted' }

/** A sender that comes while the service stops should find another, or the next start, not much later. */
const stoppingRetryMs = 1000

/**
 * Acceptance: all branches are asked for room before any of them gets the batch, so a full one never makes another see it twice. The
 * answer is given once, when every branch has it in a bounded buffer.
 */
export function offerTo({
  routes,
  settlement,
  statsOf,
  shared,
}: Options): (account: IntakeAccount, batch: Batch) => void {
  const refusalOf = (batch: Batch, pipelines: readonly Pipeline[]): Refusal | undefined => {
    if (shared.isClosed) return { reason: 'Fullspan is stopping', retryAfterMs: stoppingRetryMs }
    if (pipelines.length === 0) return { reason: `no pipeline takes ${batch.signal}`, retryAfterMs: 0 }
    for (const pipeline of pipelines) {
      const refusal = pipeline.admit(batch)
      if (refusal) return refusal
    }
    return undefined
  }
  const branches = new Map(
    [...routes].map(([signal, pipelines]) => [signal, pipelines.flatMap(({ book }) => book.branches)]),
  )
  return (account, batch) => {
    const pipelines = routes.get(batch.signal) ?? []
    const stats = statsOf(batch.signal)
    const refusal = batch.items === 0 ? undefined : refusalOf(batch, pipelines)
    if (refusal) {
      stats.refused += batch.items
      account.answer({ kind: 'refused', ...refusal })
      return
    }
    stats.accepted += batch.items
    if (batch.items > 0) {
      settlement.accept(account, branches.get(batch.signal) ?? [], batch.items)
      for (const { book } of pipelines) book.received += batch.items
      for (const pipeline of pipelines) pipeline.put(batch)
    }
    account.answer(accepted)
  }
}
