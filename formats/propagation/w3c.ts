import { idContext, type PropagationContext } from './context.ts'

/** W3C Trace Context §3.2: version, trace-id, parent-id, flags in lower case; later versions may append. */
export function parseTraceparent(text: string): PropagationContext | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, traceId = '', spanId = '', flags = ''] = match
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1
  return idContext('traceparent', { traceId, spanId }, isSampled ? 'sampled' : 'unsampled')
}

const pattern = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
