import type { Logger } from '../core/component.ts'

/**
 * `received` resolves at the first SIGTERM or SIGINT; the second one quits at once. Until `release` the process stays alive, however
 * little there is to do.
 */
export function watchSignals(
  logger: Logger,
  quit: (exitCode: number) => void,
): { received: Promise<void>; release: () => void } {
  const alive = setInterval(() => undefined, 60_000)
  let onSignal: (signal: NodeJS.Signals) => void = () => undefined
  const received = new Promise<void>(resolve => {
    let isStopping = false
    onSignal = signal => {
      if (isStopping) return quit(signal === 'SIGINT' ? 130 : 143)
      isStopping = true
      logger.info({ signal }, 'stopping; a second signal quits at once')
      resolve()
    }
  })
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  const release = (): void => {
    clearInterval(alive)
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
  return { received, release }
}
