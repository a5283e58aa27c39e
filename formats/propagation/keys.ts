import { names } from '../../model/attribute-names.ts'
import { joinB3, parseB3 } from './b3.ts'
import { longestValue, type PropagationContext, type PropagationKind } from './context.ts'
import { joinDatadog, parseDatadog } from './datadog.ts'
import { parseUberTraceId } from './jaeger.ts'
import { parseSw8, trimSw8 } from './skywalking.ts'
import { parseTraceparent } from './w3c.ts'
import { parseXray, trimXray } from './xray.ts'

/** A field of headers, in lower case, or of whatever else carries them (a message's properties, an SQL comment). */
export type ReadField = (name: string) => string | undefined

interface Format {
  readonly attribute: string
  /** The text that becomes the attribute: ids and the sampling decision, nothing else that fields may carry. */
  toKey(field: (name: string) => string): string
  parse(key: string): PropagationContext | undefined
}

const formats: Readonly<Record<PropagationKind, Format>> = {
  traceparent: {
    attribute: names.keyTraceparent,
    toKey: field => field('traceparent').slice(0, 55),
    parse: parseTraceparent,
  },
  b3: {
    attribute: names.keyB3,
    toKey: field =>
      field('b3') ||
      joinB3({
        traceId: field('x-b3-traceid'),
        spanId: field('x-b3-spanid'),
        sampled: field('x-b3-sampled'),
        flags: field('x-b3-flags'),
      }),
    parse: parseB3,
  },
  'uber-trace-id': {
    attribute: names.keyUberTraceId,
    toKey: field => field('uber-trace-id'),
    parse: parseUberTraceId,
  },
  datadog: {
    attribute: names.keyDatadog,
    toKey: field =>
      joinDatadog({
        traceId: field('x-datadog-trace-id'),
        parentId: field('x-datadog-parent-id'),
        priority: field('x-datadog-sampling-priority'),
        tags: field('x-datadog-tags'),
      }),
    parse: parseDatadog,
  },
  xray: { attribute: names.keyXray, toKey: field => trimXray(field('x-amzn-trace-id')), parse: parseXray },
  sw8: { attribute: names.keySw8, toKey: field => trimSw8(field('sw8')), parse: parseSw8 },
}

const kinds: readonly PropagationKind[] = ['traceparent', 'b3', 'uber-trace-id', 'datadog', 'xray', 'sw8']

/** Every field that `keysOfFields` asks for: what a decoder must not pass over. */
export const propagationFields: readonly string[] = [
  'traceparent',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-sampled',
  'x-b3-flags',
  'uber-trace-id',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'x-datadog-tags',
  'x-amzn-trace-id',
  'sw8',
]

/**
 * The `fullspan.key.*` attributes of a request by its headers: one for each kind of header that names a span. Never throws;
 * what is malformed, or names the span 0, gives nothing.
 */
export function keysOfFields(read: ReadField): Record<string, string> {
  const keys: Record<string, string> = {}
  for (const [kind, key] of contextsIn(read)) keys[formats[kind].attribute] = key
  return keys
}

/** The same for one message of many: `kind key` texts for the list `fullspan.key.message_contexts`. */
export function messageContexts(read: ReadField): string[] {
  return contextsIn(read).map(([kind, key]) => `${kind} ${key}`)
}

function contextsIn(read: ReadField): [kind: PropagationKind, key: string][] {
  const field = (name: string) => {
    const value = read(name)?.trim() ?? ''
    return value.length <= longestValue ? value : ''
  }
  const found: [PropagationKind, string][] = []
  for (const kind of kinds) {
    const key = formats[kind].toKey(field)
    if (key !== '' && formats[kind].parse(key) !== undefined) found.push([kind, key])
  }
  return found
}

/** The contexts that `keysOfFields` wrote, read back from the attributes of a span, which may be any sender's. */
export function contextsOfKeys(attribute: (name: string) => string): PropagationContext[] {
  const contexts: PropagationContext[] = []
  for (const kind of kinds) {
    const key = attribute(formats[kind].attribute)
    const context = key === '' || key.length > longestValue ? undefined : formats[kind].parse(key)
    if (context) contexts.push(context)
  }
  return contexts
}

/** One element of `fullspan.key.message_contexts`. */
export function parseMessageContext(text: string): PropagationContext | undefined {
  const space = text.indexOf(' ')
  const kind = kinds.find(each => each === text.slice(0, space))
  return kind && text.length <= longestValue ? formats[kind].parse(text.slice(space + 1)) : undefined
}
