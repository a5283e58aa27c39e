import { join } from 'node:path'
import { components } from '../components.ts'
import { systemClock } from '../core/clock.ts'
import { assertValid, loadConfig } from '../core/config/load.ts'
import { formatProblem } from '../core/config/problem.ts'
import type { ServiceConfig } from '../core/config/service-schema.ts'
import { startService } from '../core/graph/service.ts'
import type { StopReport } from '../core/graph/stop.ts'
import { giveHeapHeadroom } from '../core/heap-headroom.ts'
import { createLogger } from '../core/log.ts'
import { observeService } from '../core/own-metrics.ts'
import { packageRoot } from '../core/package-root.ts'
import { dropPrivileges, futureOwner } from '../core/privileges.ts'
import { startTelemetry, type Telemetry, type TelemetrySettings } from '../core/telemetry.ts'
import { parseEndpoint } from '../core/units.ts'
import { watchSignals } from './signals.ts'
import { surviveFaults } from './survive-faults.ts'

export interface ConfigOptions {
  readonly config: readonly string[]
  readonly set: readonly string[]
}

/** Starts, waits for a signal, stops. Returns the exit code; what keeps it from starting is thrown. */
export async function run(
  { config: files, set: settings }: ConfigOptions,
  quit: (exitCode: number) => void,
): Promise<number> {
  const { config, problems } = await loadConfig({ files: configFiles(files), settings, components })
  assertValid(problems)
  const { telemetry: own } = config.service
  const logger = createLogger(own.logs)
  for (const problem of problems) logger.warn({}, formatProblem(problem))

  const owner = futureOwner(config.service.run_as)
  const signals = watchSignals(logger, quit)
  let telemetry: Telemetry | undefined
  let release: () => void = () => undefined
  const stopHeadroom = giveHeapHeadroom(systemClock)
  try {
    const watch = boundStart(signals.received, config.service.shutdown_timeout, quit)
    const metrics = await startTelemetry(telemetrySettings(own.metrics))
    telemetry = metrics
    const service = await startService(config, {
      clock: systemClock,
      logger,
      childLogger: fields => logger.child(fields),
      meter: id => metrics.meter(id),
      packageRoot: packageRoot(),
      owner,
    })
    watch.isStarted = true
    observeService(metrics.meter('fullspan'), service)
    if (owner) dropPrivileges(owner)
    release = surviveFaults(logger, systemClock)
    logger.info(ready(metrics), 'everything is ready')
    await signals.received
    return report(await service.stop())
  } finally {
    await telemetry?.stop()
    signals.release()
    release()
    stopHeadroom()
  }

  function report({ droppedItems, ledger }: StopReport): number {
    for (const { branch, received, created, delivered, merged, held, dropped, drops } of ledger) {
      logger.info({ received, created, delivered, merged, held, dropped, drops }, `ledger of ${branch}`)
    }
    if (droppedItems === 0) return 0
    logger.error(
      { items: droppedItems },
      `dropped ${droppedItems} items that could not be delivered before the stop`,
    )
    return 3
  }
}

/** A stop during the start waits for its end, since what has started is to stop in order, but not for ever: a component may hang. */
function boundStart(
  stopped: Promise<void>,
  timeoutMs: number,
  quit: (exitCode: number) => void,
): { isStarted: boolean } {
  const watch = { isStarted: false }
  void stopped.then(() =>
    systemClock.after(timeoutMs, () => {
      if (!watch.isStarted) quit(1)
    }),
  )
  return watch
}

/** The config that ships, where none is named. */
export function configFiles(files: readonly string[]): readonly string[] {
  return files.length > 0 ? files : [join(packageRoot(), 'pipeline.config.json')]
}

function telemetrySettings(metrics: ServiceConfig['telemetry']['metrics']): TelemetrySettings {
  const address = parseEndpoint(metrics.address)
  return {
    level: metrics.level,
    host: metrics.host ?? address?.host ?? '',
    port: metrics.port ?? address?.port ?? 8888,
    withoutTypeSuffix: metrics.without_type_suffix,
  }
}

function ready({ address }: Telemetry): object {
  return address === undefined ? {} : { metrics: `http://${address}/metrics` }
}
