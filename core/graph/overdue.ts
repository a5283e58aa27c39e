import type { Running } from './service.ts'

/** Reports intakes that were accepted long ago and are not settled, with the component that has them. Returns how to stop. */
export function watchOverdue({ shared, settlement }: Running, settleTimeoutMs: number): () => void {
  const { clock, logger } = shared.environment
  let cancel: () => void = () => undefined
  const look = (): void => {
    const byPlace = new Map<string, { intakes: number; items: number; receiver: string; holder: string }>()
    for (const { receiver, holder, open } of settlement.takeOverdue(clock.nowMs() - settleTimeoutMs)) {
      const key = `${receiver}\n${holder}`
      const sum = byPlace.get(key) ?? { intakes: 0, items: 0, receiver, holder }
      sum.intakes++
      sum.items += Math.max(0, ...open.values())
      byPlace.set(key, sum)
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
