import { defineProcessor } from '../../core/component.ts'
import { collectGarbage } from './collect-garbage.ts'
import { limitsFrom } from './limits.ts'
import { memoryTotal } from './memory-total.ts'
import { watchMemory } from './watch-memory.ts'

/** Refuses intakes while this process uses too much memory. Nothing that was accepted is dropped. */
export default defineProcessor({
  type: 'memory_limiter',
  description: 'Makes receivers refuse, in their protocol, while this process uses too much memory.',
  stability: 'beta',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      check_interval: {
        type: 'string',
        format: 'duration',
        default: '1s',
        description: 'How often memory is measured. A refused sender is asked to wait as long.',
        differs: 'Must be set in the Collector, whose default of 0 is an error.',
      },
      limit_mib: {
        type: 'integer',
        minimum: 0,
        default: 0,
        description: 'Resident memory that this process should not exceed, in MiB.',
        differs:
          'The Collector measures its heap, we measure resident memory, which is what gets a process killed.',
      },
      limit_percentage: {
        type: 'integer',
        minimum: 0,
        maximum: 100,
        default: 0,
        description:
          'The same as a share of what the control group or the machine has; used where limit_mib is 0.',
      },
      spike_limit_mib: {
        type: 'integer',
        minimum: 0,
        default: 0,
        description:
          'Growth expected between two measurements: intakes are refused above the limit less this. 0: a fifth of the limit.',
      },
      spike_limit_percentage: {
        type: 'integer',
        minimum: 0,
        maximum: 100,
        default: 0,
        description: 'The same as a share, beside limit_percentage. 0: a fifth of the limit.',
      },
      min_gc_interval_when_soft_limited: {
        type: 'string',
        format: 'duration',
        default: '10s',
        description: 'While intakes are refused, garbage is collected no more often than this.',
      },
      min_gc_interval_when_hard_limited: {
        type: 'string',
        format: 'duration',
        default: '1s',
        differs: '0 in the Collector. A full collection stops everything here, so not at every measurement.',
        description: 'Above the limit, garbage is collected no more often than this.',
      },
    },
  },
  check({ limit_mib, limit_percentage, spike_limit_mib, spike_limit_percentage, check_interval }) {
    const complaints: { setting: string; message: string }[] = []
    const add = (setting: string, message: string) => complaints.push({ setting, message })
    if (check_interval === 0) add('check_interval', 'must be more than 0.')
    if (limit_mib === 0 && limit_percentage === 0) add('limit_mib', 'or limit_percentage must be set.')
    if (limit_mib > 0 && spike_limit_mib >= limit_mib) {
      add('spike_limit_mib', `must be less than limit_mib (${limit_mib}), but is ${spike_limit_mib}.`)
    }
    if (limit_mib === 0 && limit_percentage > 0 && spike_limit_percentage >= limit_percentage) {
      add(
        'spike_limit_percentage',
        `must be less than limit_percentage (${limit_percentage}), but is ${spike_limit_percentage}.`,
      )
    }
    return complaints
  },
  create(config, context) {
    const limits = limitsFrom(config, memoryTotal)
    const { meter, onAdmission } = context
    const accepted = meter.createCounter('otelcol_processor_memory_limiter_accepted_spans', {
      description: 'Items that were let through.',
    })
    const refused = meter.createCounter('otelcol_processor_memory_limiter_refused_spans', {
      description: 'Items that were refused for lack of memory.',
    })
    const memory = watchMemory({
      limits,
      intervalMs: config.check_interval,
      softGcIntervalMs: config.min_gc_interval_when_soft_limited,
      hardGcIntervalMs: config.min_gc_interval_when_hard_limited,
      measure: () => process.memoryUsage.rss(),
      collectGarbage,
      ...context,
    })
    onAdmission(batch => {
      const isRefused = memory.isFullFor(batch.sizeBytes)
      const counter = isRefused ? refused : accepted
      counter.add(batch.items)
      if (!isRefused) return undefined
      return { reason: 'data refused due to high memory usage', retryAfterMs: config.check_interval }
    })
    return batch => batch
  },
})
