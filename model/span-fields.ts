import type { AttributeValue } from './attributes.ts'

/** opentelemetry.proto.trace.v1.Span.SpanKind */
export const spanKind = {
  unspecified: 0,
  internal: 1,
  server: 2,
  client: 3,
  producer: 4,
  consumer: 5,
} as const
export type SpanKind = (typeof spanKind)[keyof typeof spanKind]

/** opentelemetry.proto.trace.v1.Status.StatusCode */
export const statusCode = { unset: 0, ok: 1, error: 2 } as const

export interface SpanStatus {
  readonly code: number
  readonly message: string
}

export interface SpanLink {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits. */
  readonly spanId: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
}

export interface SpanEvent {
  /** Unix time in ns. */
  readonly timeUnixNano: bigint
  readonly name: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
}

export interface SpanFields {
  readonly traceId: string
  readonly spanId: string
  /** '' for a root. */
  readonly parentSpanId: string
  readonly name: string
  readonly kind: SpanKind
  /** Unix time in ns. */
  readonly startTimeUnixNano: bigint
  readonly endTimeUnixNano: bigint
  readonly attributes?: Iterable<readonly [string, AttributeValue]>
  readonly events?: readonly SpanEvent[]
  readonly links?: readonly SpanLink[]
  readonly status?: SpanStatus
  /** W3C trace flags and the context-is-remote bits. */
  readonly flags?: number
  readonly traceState?: string
}

/** What `with` may change. An attribute of `undefined` is taken away; `addLinks` come after those that are there. */
export interface SpanChange {
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
  readonly parentSpanId?: string | undefined
  readonly name?: string | undefined
  readonly kind?: SpanKind | undefined
  readonly attributes?: Readonly<Record<string, AttributeValue | undefined>> | undefined
  readonly addLinks?: readonly SpanLink[] | undefined
}

/** Field numbers of opentelemetry.proto.trace.v1.Span. */
export const fieldNumber = {
  traceId: 1,
  spanId: 2,
  traceState: 3,
  parentSpanId: 4,
  name: 5,
  kind: 6,
  start: 7,
  end: 8,
  attributes: 9,
  events: 11,
  links: 13,
  status: 15,
  flags: 16,
} as const

/** ScopeSpans.spans */
export const spansField = 2
