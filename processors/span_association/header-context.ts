import { lowHalf, type PropagationContext, type PropagationKind } from '../../formats/propagation/context.ts'
import { contextsOfKeys, parseMessageContext } from '../../formats/propagation/keys.ts'
import { names } from '../../model/attribute-names.ts'
import type { AttributeReader } from '../../model/picked-attributes.ts'

/** What a propagation header in a request names: the span that wrote it. */
export interface HeaderContext {
  /** As AppSpan.ownKey. */
  readonly key: string
  /** As AppSpan.traceKey. */
  readonly traceKey: string
  /** 32 and 16 hex digits; '' for SkyWalking, whose OTLP ids are a receiver's. */
  readonly traceId: string
  readonly spanId: string
  /** Its trace is kept: what it names will come. */
  readonly isSampled: boolean
  /** Its trace is not kept. Neither: the header leaves it open. */
  readonly isUnsampled: boolean
  readonly name: PropagationKind
}

/**
 * Keys of an id of OpenTelemetry's form. By the lower half of the trace id, since B3, Jaeger and Datadog may carry no more; with
 * the span's id that is still 128 bits.
 */
export function traceKeyOf(traceId: string): string {
  return `w3c|${lowHalf(traceId)}`
}

export function spanKeyOf(traceId: string, spanId: string): string {
  return `w3c|${lowHalf(traceId)}|${spanId}`
}

/** The contexts in the headers that capture saw in the request; an id of 0 is none. */
export function headersOf(span: AttributeReader): readonly HeaderContext[] {
  const contexts = contextsOfKeys(name => span.text(name))
  return contexts.length === 0 ? none : contexts.map(headerContext)
}

/** The contexts of the messages that an exchange moved, each once. Of a huge batch the first 1,000. */
export function messagesOf(span: AttributeReader): readonly HeaderContext[] {
  const texts = span.attribute(names.keyMessageContexts)
  if (!Array.isArray(texts)) return none
  const found = new Map<string, HeaderContext>()
  for (const text of texts.slice(0, mostMessages)) {
    const context = typeof text === 'string' ? parseMessageContext(text) : undefined
    if (!context) continue
    const header = headerContext(context)
    if (!found.has(header.key)) found.set(header.key, header)
  }
  return [...found.values()]
}

const none: readonly HeaderContext[] = []
const mostMessages = 1000

function headerContext(context: PropagationContext): HeaderContext {
  const { sampling, kind: name } = context
  const decision = { isSampled: sampling === 'sampled', isUnsampled: sampling === 'unsampled', name }
  if (context.kind === 'sw8') {
    return {
      ...decision,
      key: `sw8|${context.segmentId}|${context.spanNumber}`,
      traceKey: `sw8|${context.traceId}`,
      traceId: '',
      spanId: '',
    }
  }
  const { traceId, spanId } = context
  return { ...decision, key: spanKeyOf(traceId, spanId), traceKey: traceKeyOf(traceId), traceId, spanId }
}
