import type { Schemas } from './field.ts'

/** opentelemetry.proto.trace.v1 and its request */
export const traceSchemas = {
  ExportTraceServiceRequest: {
    fields: { resourceSpans: { id: 1, type: 'ResourceSpans', rule: 'repeated' } },
  },
  ResourceSpans: {
    fields: {
      resource: { id: 1, type: 'Resource' },
      scopeSpans: { id: 2, type: 'ScopeSpans', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  ScopeSpans: {
    fields: {
      scope: { id: 1, type: 'InstrumentationScope' },
      spans: { id: 2, type: 'Span', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  Span: {
    fields: {
      traceId: { id: 1, type: 'bytes' },
      spanId: { id: 2, type: 'bytes' },
      traceState: { id: 3, type: 'string' },
      parentSpanId: { id: 4, type: 'bytes' },
      flags: { id: 16, type: 'fixed32' },
      name: { id: 5, type: 'string' },
      kind: { id: 6, type: 'SpanKind' },
      startTimeUnixNano: { id: 7, type: 'fixed64' },
      endTimeUnixNano: { id: 8, type: 'fixed64' },
      attributes: { id: 9, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 10, type: 'uint32' },
      events: { id: 11, type: 'SpanEvent', rule: 'repeated' },
      droppedEventsCount: { id: 12, type: 'uint32' },
      links: { id: 13, type: 'SpanLink', rule: 'repeated' },
      droppedLinksCount: { id: 14, type: 'uint32' },
      status: { id: 15, type: 'SpanStatus' },
    },
  },
  SpanKind: {
    values: {
      SPAN_KIND_UNSPECIFIED: 0,
      SPAN_KIND_INTERNAL: 1,
      SPAN_KIND_SERVER: 2,
      SPAN_KIND_CLIENT: 3,
      SPAN_KIND_PRODUCER: 4,
      SPAN_KIND_CONSUMER: 5,
    },
  },
  SpanEvent: {
    fields: {
      timeUnixNano: { id: 1, type: 'fixed64' },
      name: { id: 2, type: 'string' },
      attributes: { id: 3, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 4, type: 'uint32' },
    },
  },
  SpanLink: {
    fields: {
      traceId: { id: 1, type: 'bytes' },
      spanId: { id: 2, type: 'bytes' },
      traceState: { id: 3, type: 'string' },
      attributes: { id: 4, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 5, type: 'uint32' },
      flags: { id: 6, type: 'fixed32' },
    },
  },
  SpanStatus: {
    fields: {
      message: { id: 2, type: 'string' },
      code: { id: 3, type: 'StatusCode' },
    },
  },
  StatusCode: { values: { STATUS_CODE_UNSET: 0, STATUS_CODE_OK: 1, STATUS_CODE_ERROR: 2 } },
} satisfies Schemas
