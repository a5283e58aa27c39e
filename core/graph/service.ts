import type { Signal } from '../../model/batch.ts'
import type { ExtensionDefinition } from '../component.ts'
import { ownPorts } from '../config/own-ports.ts'
import type { Config, Configured } from '../config/resolve.ts'
import type { DeliveryStats } from '../delivery/delivery.ts'
import { ledgerEntry, type LedgerEntry, PipelineBook } from '../ledger.ts'
import { createPeers } from '../peers.ts'
import { createSettlement, type Settlement } from '../settlement.ts'
import { componentContext, type Environment, type Shared } from './context.ts'
import { createComponent, hasMethod } from './create-component.ts'
import { type RunningExporter, startExporter } from './exporters.ts'
import { type Pipeline, startPipeline } from './pipeline.ts'
import { type ReceiverStats, type RunningReceiver, startReceiver } from './receiver.ts'
import type { Stage } from './stage.ts'
import { stopService, type StopReport } from './stop.ts'
import { watchOverdue } from './overdue.ts'

/** A config at work. */
export interface Service {
  /** The account of every branch, now. */
  ledger(): readonly LedgerEntry[]
  stats(): ServiceStats
  /** Ordered stop with drain; the same promise however often it is called. */
  stop(): Promise<StopReport>
}

/** Counts for metrics: live objects, read when somebody asks. */
export interface ServiceStats {
  readonly receivers: readonly { id: string; signals: ReadonlyMap<Signal, ReceiverStats> }[]
  readonly processors: readonly { pipeline: string; signal: Signal; stage: Stage }[]
  readonly exporters: readonly { id: string; stats: DeliveryStats }[]
  /** Accepted, and not yet delivered or dropped by every branch. */
  readonly openIntakes: number
  readonly settledIntakes: number
}

/** All that runs, as start fills it and stop empties it. */
export interface Running {
  readonly shared: Shared
  readonly stopController: AbortController
  readonly settlement: Settlement
  readonly extensions: { id: string; stop(): Promise<void> }[]
  readonly exporters: RunningExporter[]
  readonly pipelines: Pipeline[]
  readonly receivers: RunningReceiver[]
  readonly watches: (() => void)[]
  readonly shutdownTimeoutMs: number
}

/**
 * Starts extensions, exporters, processors, receivers, in this order; batches flow only when all of them have started. If one cannot
 * start, the others are stopped again and the error is thrown.
 */
export async function startService(config: Config, environment: Environment): Promise<Service> {
  const stopController = new AbortController()
  const running: Running = {
    shared: {
      environment,
      peers: createPeers(),
      ownPorts: ownPorts(config),
      extensions: new Map<string, unknown>(),
      stopping: stopController.signal,
      isClosed: false,
    },
    stopController,
    settlement: createSettlement({ nowMs: () => environment.clock.nowMs() }),
    extensions: [],
    exporters: [],
    pipelines: [],
    receivers: [],
    watches: [],
    shutdownTimeoutMs: config.service.shutdown_timeout,
  }
  try {
    await startAll(config, running)
  } catch (error) {
    // What has been opened is closed by the end of its stream, so there must be one.
    for (const receiver of running.receivers) receiver.subscribe()
    await stopService(running)
    throw error
  }
  for (const receiver of running.receivers) receiver.subscribe()
  running.watches.push(watchOverdue(running, config.service.settle_timeout))
  let stopped: Promise<StopReport> | undefined
  return {
    ledger: () => ledgerOf(running),
    stats: () => statsOf(running),
    stop: () => (stopped ??= stopService(running)),
  }
}

export function ledgerOf({ pipelines }: Pick<Running, 'pipelines'>): LedgerEntry[] {
  return pipelines.flatMap(({ book }) => book.branches.map(ledgerEntry))
}

async function startAll(config: Config, running: Running): Promise<void> {
  const { shared, settlement } = running
  for (const extension of config.extensions.values()) await startExtension(extension, running)
  for (const exporter of config.exporters.values()) {
    running.exporters.push(await startExporter(exporter, shared, settlement))
  }
  let branches = 0
  for (const pipeline of config.pipelines) {
    running.pipelines.push(
      await startPipeline({
        config: pipeline,
        book: new PipelineBook(pipeline.id, pipeline.signal),
        processors: pipeline.processors.flatMap(id => config.processors.get(id) ?? []),
        deliveries: running.exporters
          .filter(({ id }) => pipeline.exporters.includes(id))
          .map(({ delivery }) => delivery),
        nextBranchIndex: () => branches++,
        maxWaiting: config.service.processor_queue_size,
        callTimeoutMs: config.service.processor_timeout,
        shared,
        settlement,
      }),
    )
  }
  for (const receiver of config.receivers.values()) {
    const routes = routesOf(receiver.id, config, running.pipelines)
    try {
      running.receivers.push(await startReceiver({ receiver, routes, shared, settlement }))
    } catch (error) {
      const { when_unavailable: policy } = receiver.settings as { when_unavailable?: string }
      if (policy !== 'warn') throw error
      const { logger } = componentContext(shared, receiver.id, { kind: 'receiver' })
      logger.warn({}, `is left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

async function startExtension(
  { id, definition, settings }: Configured<ExtensionDefinition>,
  { shared, extensions }: Running,
): Promise<void> {
  const context = componentContext(shared, id, { kind: 'extension' })
  const { api, stop } = await createComponent(context, () => definition.create(settings, context), {
    isRight: each => hasMethod(each, 'stop'),
    expected: '{ api, stop }',
  })
  extensions.push({ id, stop })
  if (shared.extensions instanceof Map) shared.extensions.set(id, api)
}

function routesOf(receiver: string, config: Config, pipelines: readonly Pipeline[]): Map<Signal, Pipeline[]> {
  const routes = new Map<Signal, Pipeline[]>()
  for (const [index, { signal, receivers }] of config.pipelines.entries()) {
    const pipeline = pipelines[index]
    if (!pipeline || !receivers.includes(receiver)) continue
    const known = routes.get(signal)
    if (known) known.push(pipeline)
    else routes.set(signal, [pipeline])
  }
  return routes
}

function statsOf({ receivers, pipelines, exporters, settlement }: Running): ServiceStats {
  return {
    receivers: receivers.map(({ id, stats }) => ({ id, signals: stats })),
    processors: pipelines.flatMap(({ book, stages }) =>
      stages.map(stage => ({ pipeline: book.id, signal: book.signal, stage })),
    ),
    exporters: exporters.map(({ id, delivery }) => ({ id, stats: delivery.stats })),
    openIntakes: settlement.openIntakes,
    settledIntakes: settlement.settledIntakes,
  }
}
