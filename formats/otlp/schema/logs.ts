import type { Schemas } from './field.ts'

const severities = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'].flatMap((name, index) =>
  ['', '2', '3', '4'].map(
    (step, place) => [`SEVERITY_NUMBER_${name}${step}`, index * 4 + place + 1] as const,
  ),
)

/** opentelemetry.proto.logs.v1 and its request */
export const logSchemas = {
  ExportLogsServiceRequest: {
    fields: { resourceLogs: { id: 1, type: 'ResourceLogs', rule: 'repeated' } },
  },
  ResourceLogs: {
    fields: {
      resource: { id: 1, type: 'Resource' },
      scopeLogs: { id: 2, type: 'ScopeLogs', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  ScopeLogs: {
    fields: {
      scope: { id: 1, type: 'InstrumentationScope' },
      logRecords: { id: 2, type: 'LogRecord', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  LogRecord: {
    fields: {
      timeUnixNano: { id: 1, type: 'fixed64' },
      observedTimeUnixNano: { id: 11, type: 'fixed64' },
      severityNumber: { id: 2, type: 'SeverityNumber' },
      severityText: { id: 3, type: 'string' },
      body: { id: 5, type: 'AnyValue' },
      attributes: { id: 6, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 7, type: 'uint32' },
      flags: { id: 8, type: 'fixed32' },
      traceId: { id: 9, type: 'bytes' },
      spanId: { id: 10, type: 'bytes' },
      eventName: { id: 12, type: 'string' },
    },
  },
  SeverityNumber: { values: { SEVERITY_NUMBER_UNSPECIFIED: 0, ...Object.fromEntries(severities) } },
} satisfies Schemas
