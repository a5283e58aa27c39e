import protobuf from 'protobufjs'
import { otlpSchemas } from '../../formats/otlp/schema/index.ts'

/** AnyValue as protobufjs gives it. */
interface DecodedValue {
  readonly [kind: string]: unknown
}

interface DecodedSpan {
  readonly attributes: { key: string; value: DecodedValue }[]
}

export interface DecodedRequest {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: DecodedSpan[] }[] }[]
}

const root = protobuf.Root.fromJSON({
  nested: { otlp: { edition: 'proto3', nested: structuredClone(otlpSchemas) } } as never,
})
root.resolveAll()
const request = root.lookupType('otlp.ExportTraceServiceRequest')

/** The whole request as objects, by protobufjs's generated decoder: what a collector without lazy bytes does first. */
export function decode(bytes: Uint8Array): DecodedRequest {
  return request.decode(bytes) as unknown as DecodedRequest
}

export function encode(decoded: DecodedRequest): Uint8Array {
  return request.encode(decoded).finish()
}

/** How many spans it has. */
export function spansOf(decoded: DecodedRequest): number {
  let spans = 0
  for (const { scopeSpans } of decoded.resourceSpans)
    for (const scope of scopeSpans) spans += scope.spans.length
  return spans
}
