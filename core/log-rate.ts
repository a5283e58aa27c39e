import type { Clock } from './clock.ts'
import type { Logger } from './component.ts'

/** The same message at most once in this time; the next one says how many were left out. */
const quietMs = 10_000

/** A logger for what may happen once per batch: repeats are counted and not said. */
export function occasionally(logger: Logger, clock: Pick<Clock, 'nowMs'>): Pick<Logger, 'warn' | 'error'> {
  const said = new Map<string, { atMs: number; repeats: number }>()
  const log = (level: 'warn' | 'error') => (fields: object, message: string) => {
    const known = said.get(message)
    const nowMs = clock.nowMs()
    if (known && nowMs - known.atMs < quietMs) {
      known.repeats++
      return
    }
    if (said.size > 100) said.clear()
    said.set(message, { atMs: nowMs, repeats: 0 })
    logger[level](known && known.repeats > 0 ? { ...fields, repeats: known.repeats } : fields, message)
  }
  return { warn: log('warn'), error: log('error') }
}
