import { idContext, type PropagationContext } from './context.ts'

/**
 * Jaeger's `uber-trace-id`: `trace:span:parent:flags` in hex, leading zeros left out by some clients, colons URL-encoded by others.
 * Bit 0 of the flags: sampled; bit 1: debug.
 */
export function parseUberTraceId(text: string): PropagationContext | undefined {
  const match = pattern.exec(text.replace(/%3a/gi, ':'))
  if (match === null) return undefined
  const [, traceId = '', spanId = '', flags = ''] = match
  const isSampled = (Number.parseInt(flags, 16) & 3) !== 0
  return idContext('uber-trace-id', { traceId, spanId }, isSampled ? 'sampled' : 'unsampled')
}

const pattern = /^([0-9a-f]{1,32}):([0-9a-f]{1,16}):[0-9a-f]{1,16}:([0-9a-f]{1,2})$/i
