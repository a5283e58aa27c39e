import type { Infer, Schema } from '../schema.ts'

const retry = {
  type: 'object',
  additionalProperties: false,
  default: {},
  description: 'What happens to a batch that could not be delivered for now.',
  properties: {
    enabled: { type: 'boolean', default: true, description: 'false drops it at the first failure.' },
    initial_interval: {
      type: 'string',
      format: 'duration',
      default: '5s',
      description: 'Wait before the first retry. A longer wait that the other side asks for is kept to.',
    },
    multiplier: {
      type: 'number',
      minimum: 1,
      default: 1.5,
      description: 'Growth of the wait from retry to retry.',
    },
    randomization_factor: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 0.5,
      description: 'Share by which each wait is lengthened or shortened at random.',
    },
    max_interval: { type: 'string', format: 'duration', default: '30s', description: 'Longest wait.' },
    max_elapsed_time: {
      type: 'string',
      format: 'duration',
      default: '300s',
      description: 'After this time, counted from the first try, the batch is dropped. 0: never.',
    },
  },
} as const satisfies Schema

const queue = {
  type: 'object',
  additionalProperties: false,
  default: {},
  description:
    'The buffer in memory between the pipeline and the other side. Full, it makes receivers refuse.',
  properties: {
    enabled: {
      type: 'boolean',
      default: true,
      description: 'false: nothing waits; receivers refuse while all consumers are busy.',
    },
    num_consumers: { type: 'integer', minimum: 1, default: 10, description: 'Batches on their way at once.' },
    queue_size: {
      type: 'integer',
      minimum: 1,
      default: 1000,
      description: 'How much may wait, counted by `sizer`.',
    },
    sizer: {
      type: 'string',
      enum: ['requests', 'items', 'bytes'],
      default: 'requests',
      description: 'What `queue_size` counts: batches, items (spans, data points, records) or bytes.',
    },
  },
} as const satisfies Schema

/**
 * Settings that core reads for every exporter that has them; spread it into `properties`. `timeout` may be given another default by a
 * property of the same name after it.
 */
export const deliverySchema = {
  timeout: {
    type: 'string',
    format: 'duration',
    default: '5s',
    description: 'Longest time for one try. 0: no limit.',
  },
  retry_on_failure: retry,
  sending_queue: queue,
} as const satisfies Readonly<Record<string, Schema>>

export type RetrySettings = Infer<typeof retry>
export type QueueSettings = Infer<typeof queue>

/** How one exporter is fed. */
export interface DeliverySettings {
  readonly timeoutMs: number
  readonly retry: RetrySettings
  readonly queue: QueueSettings
}

/** From an exporter's checked settings; one without these keys gets one consumer, so that batches stay in order, and
 * a queue of 64 MiB: small traces come by the thousand. */
export function deliverySettings(settings: object): DeliverySettings {
  const {
    timeout,
    retry_on_failure: ownRetry,
    sending_queue: ownQueue,
  } = settings as {
    timeout?: number
    retry_on_failure?: RetrySettings
    sending_queue?: QueueSettings
  }
  return {
    timeoutMs: typeof timeout === 'number' ? timeout : 0,
    retry: ownRetry ?? {
      enabled: true,
      initial_interval: 5000,
      multiplier: 1.5,
      randomization_factor: 0.5,
      max_interval: 30_000,
      max_elapsed_time: 300_000,
    },
    queue: ownQueue ?? { enabled: true, num_consumers: 1, queue_size: 64 * 1024 * 1024, sizer: 'bytes' },
  }
}
