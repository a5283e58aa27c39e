import type { RetrySettings } from './schema.ts'

/** The waits of one batch, growing, with jitter. */
export interface Backoff {
  /** Milliseconds to wait, or undefined when it has been tried for long enough. */
  next(elapsedMs: number, atLeastMs: number | undefined): number | undefined
}

export function createBackoff(settings: RetrySettings, random: () => number): Backoff {
  let intervalMs = settings.initial_interval
  return {
    next(elapsedMs, atLeastMs = 0) {
      if (!settings.enabled) return undefined
      const jitter = 1 + settings.randomization_factor * (2 * random() - 1)
      const waitMs = Math.max(intervalMs * jitter, atLeastMs)
      intervalMs = Math.min(intervalMs * settings.multiplier, settings.max_interval)
      const isTooLate = settings.max_elapsed_time > 0 && elapsedMs + waitMs > settings.max_elapsed_time
      return isTooLate ? undefined : waitMs
    },
  }
}
