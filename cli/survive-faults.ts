import { config as rxjs } from 'rxjs'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/component.ts'
import { occasionally } from '../core/log-rate.ts'

/**
 * What a component throws where nobody can catch it (a timer of its own, a promise that it forgot) is said, and everything else goes
 * on: one plugin's fault must not take the pipelines of others down. Returns how to end that.
 */
export function surviveFaults(logger: Logger, clock: Pick<Clock, 'nowMs'>): () => void {
  const say = occasionally(logger, clock)
  const onException = (error: unknown): void =>
    say.error({ err: error }, 'a component threw outside of its calls; what it was doing is lost')
  const onRejection = (error: unknown): void =>
    say.error({ err: error }, 'a component left a failed promise behind')
  const before = rxjs.onUnhandledError
  rxjs.onUnhandledError = onException
  process.on('uncaughtException', onException)
  process.on('unhandledRejection', onRejection)
  return () => {
    rxjs.onUnhandledError = before
    process.off('uncaughtException', onException)
    process.off('unhandledRejection', onRejection)
  }
}
