import type { PropagationContext } from './context.ts'

/**
 * SkyWalking's cross-process header v3, `sample-b64(traceId)-b64(segmentId)-spanId-b64(service)-b64(instance)-b64(endpoint)-b64(peer)`,
 * as `traceId/segmentId/spanId` of the Exit span that wrote it, with `/0` behind it where the trace is not sampled.
 * Malformed: ''.
 */
export function trimSw8(header: string): string {
  const parts = header.split('-', 9)
  const [sample = '', trace = '', segment = '', span = ''] = parts
  if (parts.length !== 8 || !/^[01]$/.test(sample) || !/^\d{1,9}$/.test(span)) return ''
  const traceId = decodeBase64(trace)
  const segmentId = decodeBase64(segment)
  if (traceId === '' || segmentId === '') return ''
  return `${traceId}/${segmentId}/${span}${sample === '0' ? '/0' : ''}`
}

/** What `trimSw8` wrote. */
export function parseSw8(text: string): PropagationContext | undefined {
  const match = /^([^/]+)\/([^/]+)\/(\d{1,9})(\/0)?$/.exec(text)
  if (match === null) return undefined
  const [, traceId = '', segmentId = '', span = '', unsampled] = match
  const sampling = unsampled === undefined ? 'sampled' : 'unsampled'
  return { kind: 'sw8', traceId, segmentId, spanNumber: Number(span), sampling }
}

function decodeBase64(text: string): string {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return ''
  const decoded = Buffer.from(text, 'base64').toString('latin1')
  return /^[\x21-\x2e\x30-\x7e]{1,256}$/.test(decoded) ? decoded : '' // printable, and no '/': it separates
}
