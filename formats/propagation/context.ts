import { isNoId } from '../../model/ids.ts'

/** Headers by which a tracer tells the next process which span is calling it. */
export type PropagationKind = 'traceparent' | 'b3' | 'uber-trace-id' | 'datadog' | 'xray' | 'sw8'

/** `deferred`: the header leaves the decision to whoever receives it. */
export type Sampling = 'sampled' | 'unsampled' | 'deferred'

/** What a header says of the span that wrote it. An id of 0 is none: then there is no context. */
export type PropagationContext = IdContext | SkyWalkingContext

export interface IdContext {
  readonly kind: Exclude<PropagationKind, 'sw8'>
  /** 32 hex digits, in lower case. Of a 64-bit id the upper half is 0, as SDKs write it into OTLP. */
  readonly traceId: string
  /** 16 hex digits, in lower case. */
  readonly spanId: string
  readonly sampling: Sampling
}

export interface SkyWalkingContext {
  readonly kind: 'sw8'
  /** Native ids, as they are. */
  readonly traceId: string
  readonly segmentId: string
  readonly spanNumber: number
  readonly sampling: Sampling
}

/** Longer values are none of these headers: nothing of them is read. */
export const longestValue = 512

/** Puts a context together from hex ids of at most 32 and 16 digits; undefined where one is 0 or is none. */
export function idContext(
  kind: IdContext['kind'],
  ids: { readonly traceId: string; readonly spanId: string },
  sampling: Sampling,
): IdContext | undefined {
  const traceId = padHex(ids.traceId, 32)
  const spanId = padHex(ids.spanId, 16)
  return traceId === '' || spanId === '' ? undefined : { kind, traceId, spanId, sampling }
}

function padHex(hex: string, digits: number): string {
  if (hex.length > digits || !/^[0-9a-f]+$/i.test(hex) || isNoId(hex)) return ''
  return hex.toLowerCase().padStart(digits, '0')
}

/** The half of a trace id that every header carries; all of it where that half is 0. */
export function lowHalf(traceId: string): string {
  const low = traceId.slice(-16)
  return isNoId(low) ? traceId : low
}
