import { idContext, type PropagationContext, type Sampling } from './context.ts'

/**
 * B3's single header (openzipkin/b3-propagation): `trace-span[-sampling[-parent]]`, trace ids of 64 or 128 bits. A decision
 * alone (`0`) names no span.
 */
export function parseB3(text: string): PropagationContext | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, traceId = '', spanId = '', decision = ''] = match
  return idContext('b3', { traceId, spanId }, samplingOf(decision))
}

/** B3's many headers as the single one; '' without both ids. */
export function joinB3(fields: {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: string
  readonly flags: string
}): string {
  if (fields.traceId === '' || fields.spanId === '') return ''
  const decision = fields.flags === '1' ? 'd' : (asDigit[fields.sampled.toLowerCase()] ?? '')
  return `${fields.traceId}-${fields.spanId}${decision === '' ? '' : `-${decision}`}`
}

/** Older tracers write words. */
const asDigit: Readonly<Record<string, string>> = { '0': '0', '1': '1', true: '1', false: '0' }

const pattern = /^((?:[0-9a-f]{16}){1,2})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/i

function samplingOf(decision: string): Sampling {
  if (decision === '') return 'deferred'
  return decision === '0' ? 'unsampled' : 'sampled'
}
