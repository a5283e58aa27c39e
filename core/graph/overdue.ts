import type { IntakeAccount } from '../settlement.ts'
import type { Running } from './service.ts'

/** Reports intakes that were accepted long ago and are not settled, with the component that has them. Returns how to stop. */
export function watchOverdue(running: Running, settleTimeoutMs: number): () => void {
  const { shared, settlement } = running
  const { clock, logger } = shared.environment
  let cancel: () => void = () => undefined
  const look = (): void => {
    const byPlace = new Map<string, { intakes: number; items: number; receiver: string; holder: string }>()
    for (const account of settlement.takeOverdue(clock.nowMs() - settleTimeoutMs)) {
      const { receiver, open } = account
      for (const holder of holdersOf(account, running)) {
        const key = `${receiver}\n${holder}`
        const sum = byPlace.get(key) ?? { intakes: 0, items: 0, receiver, holder }
        sum.intakes++
        sum.items += Math.max(0, ...open.values())
        byPlace.set(key, sum)
      }
    }
    for (const { receiver, holder, intakes, items } of byPlace.values()) {
      logger.warn(
        { component: holder, receiver, intakes, items, settleTimeoutMs },
        `${holder} has had items of ${receiver} for longer than settle_timeout`,
      )
    }
    cancel = clock.after(Math.max(settleTimeoutMs / 4, 1), look)
  }
  cancel = clock.after(Math.max(settleTimeoutMs / 4, 1), look)
  return () => cancel()
}

/** Processors and exporters that have some of it; what waits in front of a processor is that one's, too. */
function holdersOf(account: IntakeAccount, { pipelines, exporters }: Running): ReadonlySet<string> {
  const holders = new Set<string>()
  for (const { stages } of pipelines)
    for (const stage of stages) if (stage.holds(account)) holders.add(stage.id)
  for (const { id, delivery } of exporters) if (delivery.holds(account)) holders.add(id)
  return holders.size > 0 ? holders : new Set([account.holder])
}
