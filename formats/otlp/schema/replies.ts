import type { Schemas } from './field.ts'

const reply = (partialSuccess: string) => ({
  fields: { partialSuccess: { id: 1, type: partialSuccess } },
})
const partial = (rejected: string) => ({
  fields: { [rejected]: { id: 1, type: 'int64' }, errorMessage: { id: 2, type: 'string' } },
})

/** What a server answers: opentelemetry.proto.collector.*.v1, and google.rpc with its error details. */
export const replySchemas = {
  ExportTraceServiceResponse: reply('ExportTracePartialSuccess'),
  ExportTracePartialSuccess: partial('rejectedSpans'),
  ExportMetricsServiceResponse: reply('ExportMetricsPartialSuccess'),
  ExportMetricsPartialSuccess: partial('rejectedDataPoints'),
  ExportLogsServiceResponse: reply('ExportLogsPartialSuccess'),
  ExportLogsPartialSuccess: partial('rejectedLogRecords'),
  ExportProfilesServiceResponse: reply('ExportProfilesPartialSuccess'),
  ExportProfilesPartialSuccess: partial('rejectedProfiles'),
  Status: {
    fields: {
      code: { id: 1, type: 'int32' },
      message: { id: 2, type: 'string' },
      details: { id: 3, type: 'Any', rule: 'repeated' },
    },
  },
  Any: { fields: { typeUrl: { id: 1, type: 'string' }, value: { id: 2, type: 'bytes' } } },
  RetryInfo: { fields: { retryDelay: { id: 1, type: 'Duration' } } },
  Duration: { fields: { seconds: { id: 1, type: 'int64' }, nanos: { id: 2, type: 'int32' } } },
  BadRequest: { fields: { fieldViolations: { id: 1, type: 'FieldViolation', rule: 'repeated' } } },
  FieldViolation: { fields: { field: { id: 1, type: 'string' }, description: { id: 2, type: 'string' } } },
} satisfies Schemas
