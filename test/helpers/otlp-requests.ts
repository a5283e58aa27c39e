import { encodeWith } from './otlp-oracle.ts'

/** Plain fields of a valid span, for protobufjs; `number` tells spans apart. */
export function spanFields(number: number, more: object = {}): object {
  return {
    traceId: Buffer.from((0xabc000 + number).toString(16).padStart(32, '0'), 'hex'),
    spanId: Buffer.from((0x1000 + number).toString(16).padStart(16, '0'), 'hex'),
    name: `span ${number}`,
    kind: 2,
    startTimeUnixNano: '1700000000000000001',
    endTimeUnixNano: '1700000000000000002',
    attributes: [{ key: 'http.request.method', value: { stringValue: 'GET' } }],
    ...more,
  }
}

/** A trace request of one resource and one scope with these spans. */
export function traceRequest(spans: readonly object[]): Uint8Array {
  return encodeWith('ExportTraceServiceRequest', {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
        scopeSpans: [{ scope: { name: 'test' }, spans }],
      },
    ],
  })
}

export function metricsRequest(points = 2): Uint8Array {
  const dataPoints = Array.from({ length: points }, (_, index) => ({
    asInt: String(index),
    timeUnixNano: '5',
  }))
  return encodeWith('ExportMetricsServiceRequest', {
    resourceMetrics: [
      { scopeMetrics: [{ metrics: [{ name: 'm', sum: { dataPoints, isMonotonic: true } }] }] },
    ],
  })
}

export function logsRequest(records = 2): Uint8Array {
  const logRecords = Array.from({ length: records }, (_, index) => ({
    timeUnixNano: String(index),
    severityNumber: 9,
    body: { stringValue: `record ${index}` },
  }))
  return encodeWith('ExportLogsServiceRequest', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] })
}
