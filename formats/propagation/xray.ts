import { idContext, type PropagationContext, type Sampling } from './context.ts'

/**
 * AWS X-Ray's `X-Amzn-Trace-Id`: `Root=1-8 hex-24 hex;Parent=16 hex;Sampled=1`, in any order. Load balancers write `Root` alone or
 * with `Self`: they name no span. What else stands in it is the application's, and is left out.
 */
export function parseXray(text: string): PropagationContext | undefined {
  const fields = fieldsOf(text)
  const root = /^1-([0-9a-f]{8})-([0-9a-f]{24})$/i.exec(fields.get('root') ?? '')
  if (root === null) return undefined
  const [, seconds = '', random = ''] = root
  const spanId = fields.get('parent') ?? ''
  if (spanId.length !== 16) return undefined
  return idContext('xray', { traceId: seconds + random, spanId }, samplingOf(fields.get('sampled')))
}

/** The fields that name a span, and no others; '' where they name none. */
export function trimXray(text: string): string {
  const context = parseXray(text)
  if (context === undefined || context.kind === 'sw8') return ''
  const { traceId, spanId, sampling } = context
  const decision = sampling === 'deferred' ? '' : `;Sampled=${sampling === 'sampled' ? 1 : 0}`
  return `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId}${decision}`
}

function fieldsOf(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const part of text.split(';', mostFields)) {
    const equals = part.indexOf('=')
    const name = part.slice(0, equals).trim().toLowerCase()
    if (equals > 0 && !fields.has(name)) fields.set(name, part.slice(equals + 1).trim())
  }
  return fields
}

const mostFields = 16

/** `?` asks the receiver to decide. */
function samplingOf(text: string | undefined): Sampling {
  return text === '1' ? 'sampled' : text === '0' ? 'unsampled' : 'deferred'
}
