import { idContext, type PropagationContext, type Sampling } from './context.ts'

/** Datadog's fields as `trace:span[:priority]`, in hex; '' where an id is missing or no number of 64 bits. */
export function joinDatadog(fields: {
  /** `x-datadog-trace-id`: the lower 64 bits, decimal. */
  readonly traceId: string
  /** `x-datadog-parent-id`: decimal. */
  readonly parentId: string
  /** `x-datadog-sampling-priority`: −1, 0: drop; 1, 2: keep. */
  readonly priority: string
  /** `x-datadog-tags`: `_dd.p.tid=` has the upper 64 bits, in hex. */
  readonly tags: string
}): string {
  const low = hexOfDecimal(fields.traceId)
  const span = hexOfDecimal(fields.parentId)
  if (low === '' || span === '') return ''
  const high = /(?:^|,)_dd\.p\.tid=([0-9a-f]{16})(?:,|$)/.exec(fields.tags)?.[1] ?? ''
  const priority = /^-?\d$/.test(fields.priority) ? `:${fields.priority}` : ''
  return `${high}${low}:${span}${priority}`
}

/** What `joinDatadog` wrote. */
export function parseDatadog(text: string): PropagationContext | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, traceId = '', spanId = '', priority = ''] = match
  return idContext('datadog', { traceId, spanId }, samplingOf(priority))
}

const pattern = /^((?:[0-9a-f]{16}){1,2}):([0-9a-f]{16})(?::(-?\d))?$/

function samplingOf(priority: string): Sampling {
  if (priority === '') return 'deferred'
  return Number(priority) > 0 ? 'sampled' : 'unsampled'
}

function hexOfDecimal(text: string): string {
  if (!/^\d{1,20}$/.test(text)) return ''
  const value = BigInt(text)
  return value >= 1n << 64n ? '' : value.toString(16).padStart(16, '0')
}
