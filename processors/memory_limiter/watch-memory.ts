import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/component.ts'
import type { Limits } from './limits.ts'

interface WatchOptions {
  readonly limits: Limits
  readonly intervalMs: number
  readonly softGcIntervalMs: number
  readonly hardGcIntervalMs: number
  /** Bytes in use. */
  readonly measure: () => number
  readonly collectGarbage: () => void
  readonly clock: Pick<Clock, 'after' | 'nowMs'>
  readonly logger: Logger
  readonly stopping: AbortSignal
}

/** At full speed much comes between two measurements: after this share of the spike it is measured again. */
const shareOfSpike = 1 / 4

/** Measures at an interval, and in between when much was let in. */
export function watchMemory(options: WatchOptions): { isFullFor(bytes: number): boolean } {
  const { limits, intervalMs, measure, clock, logger, stopping } = options
  const bytesBetween = (limits.hardBytes - limits.softBytes) * shareOfSpike
  let isRefusing = false
  let admittedBytes = 0
  let lastGcMs = -Infinity

  const look = (): void => {
    admittedBytes = 0
    let usedBytes = measure()
    if (usedBytes > limits.softBytes) usedBytes = afterGc(usedBytes)
    const isOver = usedBytes > limits.softBytes
    if (isOver === isRefusing) return
    isRefusing = isOver
    const fields = {
      usedMiB: toMib(usedBytes),
      softLimitMiB: toMib(limits.softBytes),
      limitMiB: toMib(limits.hardBytes),
    }
    if (isOver) logger.warn(fields, 'memory usage is above the soft limit: intakes are refused')
    else logger.info(fields, 'memory usage is below the soft limit again: intakes are accepted')
  }
  const afterGc = (usedBytes: number): number => {
    const isHard = usedBytes > limits.hardBytes
    const waitMs = isHard ? options.hardGcIntervalMs : options.softGcIntervalMs
    if (clock.nowMs() - lastGcMs < waitMs) return usedBytes
    options.collectGarbage()
    lastGcMs = clock.nowMs()
    return measure()
  }
  let cancel: () => void = () => undefined
  const repeat = (): void => {
    look()
    cancel = clock.after(intervalMs, repeat)
  }
  repeat()
  stopping.addEventListener('abort', () => cancel())
  return {
    isFullFor(bytes) {
      admittedBytes += bytes
      if (admittedBytes > bytesBetween) look()
      return isRefusing
    },
  }
}

function toMib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}
