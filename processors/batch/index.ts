import { defineProcessor } from '../../core/component.ts'
import { collect } from './collect.ts'

/** Puts what comes in pieces together, so that the other side gets fewer and larger requests. Nothing is decoded for it. */
export default defineProcessor({
  type: 'batch',
  description: 'Joins small batches into larger ones, by size and time.',
  stability: 'beta',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      timeout: {
        type: 'string',
        format: 'duration',
        default: '200ms',
        description:
          'A batch leaves at the latest this long after its first item came. 0: everything leaves at once.',
      },
      send_batch_size: {
        type: 'integer',
        minimum: 0,
        default: 8192,
        description: 'A batch leaves as soon as it has this many items.',
      },
      send_batch_max_size: {
        type: 'integer',
        minimum: 0,
        default: 0,
        differs:
          'The Collector cuts batches at exactly this size; we cut only what is larger by itself, so that finished traces stay whole.',
        description:
          'No batch leaves with more items. What comes as one (a finished trace) is split only if it is larger itself. 0: no limit.',
      },
    },
  },
  check: ({ send_batch_size: size, send_batch_max_size: maximum }) =>
    maximum > 0 && maximum < size
      ? [
          {
            setting: 'send_batch_max_size',
            message: `must be 0 or at least send_batch_size (${size}), but is ${maximum}.`,
          },
        ]
      : [],
  create({ timeout, send_batch_size, send_batch_max_size }, { clock, meter }) {
    const sizes = meter.createHistogram('otelcol_processor_batch_batch_send_size', {
      description: 'Items in the batches that left.',
    })
    const bySize = meter.createCounter('otelcol_processor_batch_batch_size_trigger_send', {
      description: 'Batches that left because they were large enough.',
    })
    const byTime = meter.createCounter('otelcol_processor_batch_timeout_trigger_send', {
      description: 'Batches that left because their time was over.',
    })
    return {
      operator: collect({
        timeoutMs: timeout,
        size: send_batch_size,
        maximum: send_batch_max_size,
        clock,
        onSend(batch, trigger) {
          sizes.record(batch.items)
          if (trigger === 'size') bySize.add(1)
          if (trigger === 'timeout') byTime.add(1)
        },
      }),
    }
  },
})
