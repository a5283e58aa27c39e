import { names } from '../../model/attribute-names.ts'
import type { AttributeReader } from '../../model/picked-attributes.ts'

/** What a propagation header in a request names: the span that wrote it. */
export interface HeaderContext {
  /** As AppSpan.ownKey. */
  readonly key: string
  /** As AppSpan.traceKey. */
  readonly traceKey: string
  /** 32 and 16 hex digits for W3C, '' for SkyWalking, whose OTLP ids are a receiver's. */
  readonly traceId: string
  readonly spanId: string
  readonly isSampled: boolean
  readonly name: 'traceparent' | 'sw8'
}

/** The contexts in the headers that capture saw in the request; an id of 0 is none. */
export function headersOf(span: AttributeReader): readonly HeaderContext[] {
  const traceparent = span.text(names.keyTraceparent)
  const skywalking = span.text(names.keySw8)
  if (traceparent === '' && skywalking === '') return none
  const headers: HeaderContext[] = []
  const w3c = traceparentPattern.exec(traceparent)
  if (w3c && !isZero(w3c[1]!) && !isZero(w3c[2]!)) {
    const [, traceId = '', spanId = '', flags = '00'] = w3c
    headers.push({
      key: `w3c|${traceId}|${spanId}`,
      traceKey: `w3c|${traceId}`,
      traceId,
      spanId,
      isSampled: (Number.parseInt(flags, 16) & 1) === 1,
      name: 'traceparent',
    })
  }
  const sw8 = skywalking.split('/')
  if (sw8.length === 3) {
    const [traceId = '', segmentId = '', spanId = ''] = sw8
    headers.push({
      key: `sw8|${segmentId}|${spanId}`,
      traceKey: `sw8|${traceId}`,
      traceId: '',
      spanId: '',
      isSampled: true,
      name: 'sw8',
    })
  }
  return headers
}

const none: readonly HeaderContext[] = []

/** W3C Trace Context §3.2: version, trace-id, parent-id, flags; later versions may append. */
const traceparentPattern = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

function isZero(hex: string): boolean {
  return /^0+$/.test(hex)
}
