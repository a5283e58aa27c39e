import type { Attributes, Meter } from '@opentelemetry/api'
import type { Signal } from '../model/batch.ts'
import type { Service, ServiceStats } from './graph/service.ts'
import type { LedgerEntry } from './ledger.ts'

/** One value of a metric, as it is now. */
type Observation = readonly [value: number, attributes: Attributes]

export interface OwnMetric {
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly unit: string
  readonly attributes: readonly string[]
  readonly description: string
  /** Read only when somebody asks, so counting costs nothing on the way of a batch. */
  readonly read: (now: Now) => Iterable<Observation>
}

interface Now {
  readonly stats: ServiceStats
  readonly ledger: readonly LedgerEntry[]
}

const items: Readonly<Record<Signal, string>> = {
  traces: 'spans',
  metrics: 'metric_points',
  logs: 'log_records',
  profiles: 'profile_samples',
}
const signals: readonly Signal[] = ['traces', 'metrics', 'logs', 'profiles']

/** What core itself counts: the Collector's names where it has the figure, `fullspan_…` for the rest. */
export const ownMetrics: readonly OwnMetric[] = [
  ...signals.flatMap(signal => [
    receiverMetric(signal, 'accepted', 'that receivers took in and every branch has taken over.'),
    receiverMetric(
      signal,
      'refused',
      'that receivers refused, because a branch had no room or the service stops.',
    ),
    receiverMetric(signal, 'failed', 'that receivers refused because they are broken.'),
    exporterMetric(signal, 'sent', 'that exporters delivered.', entry => entry.delivered),
    exporterMetric(signal, 'send_failed', 'that exporters gave up, whatever for.', ({ drops, exporter }) =>
      sum(drops.filter(drop => drop.component === exporter).map(drop => drop.items)),
    ),
  ]),
  processorMetric('incoming', 'Items that came to a processor.', stage => stage.incoming),
  processorMetric('outgoing', 'Items that a processor gave on.', stage => stage.outgoing),
  queueMetric(
    'queue_size',
    'What waits for an exporter, by the sizer of its queue.',
    stats => stats.queueSize,
  ),
  queueMetric('queue_capacity', 'How much may wait for an exporter.', stats => stats.queueCapacity),
  queueMetric(
    'in_flight_requests',
    'Batches that are on their way or wait for the next try.',
    stats => stats.inFlight,
  ),
  {
    name: 'fullspan_exporter_retries',
    kind: 'counter',
    unit: '{try}',
    attributes: ['exporter'],
    description: 'Tries after the first one.',
    read: ({ stats }) => stats.exporters.map(each => [each.stats.retries, { exporter: each.id }]),
  },
  {
    name: 'fullspan_exporter_refused_intakes',
    kind: 'counter',
    unit: '{intake}',
    attributes: ['exporter'],
    description: 'Intakes that were refused because the queue of this exporter was full.',
    read: ({ stats }) => stats.exporters.map(each => [each.stats.refusedIntakes, { exporter: each.id }]),
  },
  ledgerMetric('received', 'counter', 'Items that came to a branch.'),
  ledgerMetric('created', 'counter', 'Items that components of a branch made.'),
  ledgerMetric('delivered', 'counter', 'Items that a branch delivered.'),
  ledgerMetric('merged', 'counter', 'Items that went into others.'),
  ledgerMetric('held', 'gauge', 'Items that a branch has in hand.'),
  {
    name: 'fullspan_ledger_dropped_items',
    kind: 'counter',
    unit: '{item}',
    attributes: ['pipeline', 'exporter', 'component', 'reason'],
    description: 'Items that were dropped, by whom and why.',
    read: ({ ledger }) =>
      ledger.flatMap(({ pipeline, exporter, drops }) =>
        drops.map(
          ({ component, reason, items: dropped }) =>
            [dropped, { pipeline, exporter, component, reason }] as const,
        ),
      ),
  },
  {
    name: 'fullspan_intakes_open',
    kind: 'gauge',
    unit: '{intake}',
    attributes: [],
    description: 'Intakes that were accepted and are not yet delivered or dropped by every branch.',
    read: ({ stats }) => [[stats.openIntakes, {}]],
  },
  processMetric('uptime', 'counter', 's', 'Time since the start.', () => process.uptime()),
  processMetric('cpu_seconds', 'counter', 's', 'Processor time used, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }),
  processMetric('memory_rss', 'gauge', 'By', 'Resident memory.', () => process.memoryUsage.rss()),
  processMetric('runtime_heap_alloc_bytes', 'gauge', 'By', 'JavaScript objects and buffers.', () => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }),
]

/** Registers all of them; they read the service when the page is asked for. */
export function observeService(meter: Meter, service: Pick<Service, 'stats' | 'ledger'>): void {
  const instruments = ownMetrics.map(({ name, kind, unit, description, read }) => {
    const create = kind === 'counter' ? meter.createObservableCounter : meter.createObservableGauge
    return { instrument: create.call(meter, name, { unit, description }), read }
  })
  meter.addBatchObservableCallback(
    result => {
      const now = { stats: service.stats(), ledger: service.ledger() }
      for (const { instrument, read } of instruments) {
        for (const [value, attributes] of read(now)) result.observe(instrument, value, attributes)
      }
    },
    instruments.map(({ instrument }) => instrument),
  )
}

function receiverMetric(
  signal: Signal,
  what: 'accepted' | 'refused' | 'failed',
  description: string,
): OwnMetric {
  return {
    name: `otelcol_receiver_${what}_${items[signal]}`,
    kind: 'counter',
    unit: '{item}',
    attributes: ['receiver'],
    description: `${words(signal)} ${description}`,
    read: ({ stats }) =>
      stats.receivers.flatMap(({ id, signals: bySignal }) => {
        const counts = bySignal.get(signal)
        return counts ? [[counts[what], { receiver: id }] as const] : []
      }),
  }
}

function exporterMetric(
  signal: Signal,
  what: string,
  description: string,
  count: (entry: LedgerEntry) => number,
): OwnMetric {
  return {
    name: `otelcol_exporter_${what}_${items[signal]}`,
    kind: 'counter',
    unit: '{item}',
    attributes: ['exporter'],
    description: `${words(signal)} ${description}`,
    read({ ledger }) {
      const byExporter = new Map<string, number>()
      for (const entry of ledger) {
        if (entry.signal !== signal) continue
        byExporter.set(entry.exporter, (byExporter.get(entry.exporter) ?? 0) + count(entry))
      }
      return [...byExporter].map(([exporter, value]) => [value, { exporter }] as const)
    },
  }
}

function processorMetric(
  what: string,
  description: string,
  count: (stage: ServiceStats['processors'][number]['stage']) => number,
): OwnMetric {
  return {
    name: `otelcol_processor_${what}_items`,
    kind: 'counter',
    unit: '{item}',
    attributes: ['processor', 'otel_signal', 'pipeline'],
    description,
    read: ({ stats }) =>
      stats.processors.map(
        ({ pipeline, signal, stage }) =>
          [count(stage), { processor: stage.id, otel_signal: signal, pipeline }] as const,
      ),
  }
}

function queueMetric(
  what: string,
  description: string,
  read: (stats: ServiceStats['exporters'][number]['stats']) => number,
): OwnMetric {
  return {
    name: `otelcol_exporter_${what}`,
    kind: 'gauge',
    unit: '1',
    attributes: ['exporter'],
    description,
    read: ({ stats }) => stats.exporters.map(each => [read(each.stats), { exporter: each.id }] as const),
  }
}

function ledgerMetric(
  what: 'received' | 'created' | 'delivered' | 'merged' | 'held',
  kind: OwnMetric['kind'],
  description: string,
): OwnMetric {
  return {
    name: `fullspan_ledger_${what}_items`,
    kind,
    unit: '{item}',
    attributes: ['pipeline', 'exporter'],
    description,
    read: ({ ledger }) =>
      ledger.map(entry => [entry[what], { pipeline: entry.pipeline, exporter: entry.exporter }] as const),
  }
}

function processMetric(
  what: string,
  kind: OwnMetric['kind'],
  unit: string,
  description: string,
  read: () => number,
): OwnMetric {
  return {
    name: `otelcol_process_${what}`,
    kind,
    unit,
    attributes: [],
    description,
    read: () => [[read(), {}]],
  }
}

function words(signal: Signal): string {
  const text = items[signal].replace('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
