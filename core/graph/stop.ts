import type { LedgerEntry } from '../ledger.ts'
import { ledgerOf, type Running } from './service.ts'

/** What a stop left behind. */
export interface StopReport {
  /** Items that were given up, summed over branches: 0 after a complete drain. */
  readonly droppedItems: number
  readonly ledger: readonly LedgerEntry[]
}

const shutdown = 'shutdown'
/** Closing is no part of the drain, and must not hang either. */
const closeTimeoutMs = 2000

/**
 * Sources complete, processors flush, exporters drain: each step waits for the one before it. What the time limit leaves is dropped with
 * the reason `shutdown`.
 */
export async function stopService(running: Running): Promise<StopReport> {
  // Nothing else may keep the process alive while it waits: timers of the clock do not.
  const alive = setInterval(() => undefined, 60_000)
  try {
    return await stopInOrder(running)
  } finally {
    clearInterval(alive)
  }
}

async function stopInOrder(running: Running): Promise<StopReport> {
  const { shared, stopController, receivers, pipelines, exporters, extensions } = running
  const { clock, logger } = shared.environment
  for (const stop of running.watches.splice(0)) stop()
  const untilTimeout = timeLimit(running.shutdownTimeoutMs)
  // A receiver that does not end must leave time for the drain.
  const untilHalf = timeLimit(running.shutdownTimeoutMs / 2)
  function timeLimit(afterMs: number): (work: Promise<unknown>) => Promise<void> {
    let isOver = false
    const over = new Promise<void>(resolve => {
      clock.after(afterMs, () => {
        isOver = true
        resolve()
      })
    })
    return work => (isOver ? Promise.resolve() : Promise.race([work.then(() => undefined), over]))
  }

  stopController.abort()
  await untilHalf(Promise.all(receivers.map(each => each.completed)))
  for (const receiver of receivers) receiver.unsubscribe()
  shared.isClosed = true
  await untilTimeout(Promise.all(pipelines.map(pipeline => pipeline.finish())))
  await untilTimeout(Promise.all(exporters.map(({ delivery }) => delivery.drain())))

  for (const pipeline of pipelines) pipeline.abandon(shutdown)
  for (const { delivery } of exporters) delivery.abandon(shutdown)
  const ledger = ledgerOf(running)
  const droppedItems = ledger
    .flatMap(({ drops }) => drops)
    .reduce((items, drop) => (drop.reason === shutdown ? items + drop.items : items), 0)

  const untilClosed = timeLimit(closeTimeoutMs)
  const close = async (id: string, call: () => Promise<void>): Promise<void> => {
    try {
      await call()
    } catch (error) {
      logger.warn({ err: error, component: id }, 'failed while closing')
    }
  }
  await untilClosed(Promise.all(exporters.map(({ id, close: closeOne }) => close(id, closeOne))))
  for (const { id, stop } of extensions.toReversed()) await untilClosed(close(id, stop))
  return { droppedItems, ledger }
}
