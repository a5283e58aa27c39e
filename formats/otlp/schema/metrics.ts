import type { Schemas } from './field.ts'

/** opentelemetry.proto.metrics.v1 and its request */
export const metricSchemas = {
  ExportMetricsServiceRequest: {
    fields: { resourceMetrics: { id: 1, type: 'ResourceMetrics', rule: 'repeated' } },
  },
  ResourceMetrics: {
    fields: {
      resource: { id: 1, type: 'Resource' },
      scopeMetrics: { id: 2, type: 'ScopeMetrics', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  ScopeMetrics: {
    fields: {
      scope: { id: 1, type: 'InstrumentationScope' },
      metrics: { id: 2, type: 'Metric', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  Metric: {
    oneofs: { data: { oneof: ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'] } },
    fields: {
      name: { id: 1, type: 'string' },
      description: { id: 2, type: 'string' },
      unit: { id: 3, type: 'string' },
      gauge: { id: 5, type: 'Gauge' },
      sum: { id: 7, type: 'Sum' },
      histogram: { id: 9, type: 'Histogram' },
      exponentialHistogram: { id: 10, type: 'ExponentialHistogram' },
      summary: { id: 11, type: 'Summary' },
      metadata: { id: 12, type: 'KeyValue', rule: 'repeated' },
    },
  },
  Gauge: { fields: { dataPoints: { id: 1, type: 'NumberDataPoint', rule: 'repeated' } } },
  Sum: {
    fields: {
      dataPoints: { id: 1, type: 'NumberDataPoint', rule: 'repeated' },
      aggregationTemporality: { id: 2, type: 'AggregationTemporality' },
      isMonotonic: { id: 3, type: 'bool' },
    },
  },
  Histogram: {
    fields: {
      dataPoints: { id: 1, type: 'HistogramDataPoint', rule: 'repeated' },
      aggregationTemporality: { id: 2, type: 'AggregationTemporality' },
    },
  },
  ExponentialHistogram: {
    fields: {
      dataPoints: { id: 1, type: 'ExponentialHistogramDataPoint', rule: 'repeated' },
      aggregationTemporality: { id: 2, type: 'AggregationTemporality' },
    },
  },
  Summary: { fields: { dataPoints: { id: 1, type: 'SummaryDataPoint', rule: 'repeated' } } },
  AggregationTemporality: {
    values: {
      AGGREGATION_TEMPORALITY_UNSPECIFIED: 0,
      AGGREGATION_TEMPORALITY_DELTA: 1,
      AGGREGATION_TEMPORALITY_CUMULATIVE: 2,
    },
  },
  NumberDataPoint: {
    oneofs: { value: { oneof: ['asDouble', 'asInt'] } },
    fields: {
      attributes: { id: 7, type: 'KeyValue', rule: 'repeated' },
      startTimeUnixNano: { id: 2, type: 'fixed64' },
      timeUnixNano: { id: 3, type: 'fixed64' },
      asDouble: { id: 4, type: 'double' },
      asInt: { id: 6, type: 'sfixed64' },
      exemplars: { id: 5, type: 'Exemplar', rule: 'repeated' },
      flags: { id: 8, type: 'uint32' },
    },
  },
  HistogramDataPoint: {
    fields: {
      attributes: { id: 9, type: 'KeyValue', rule: 'repeated' },
      startTimeUnixNano: { id: 2, type: 'fixed64' },
      timeUnixNano: { id: 3, type: 'fixed64' },
      count: { id: 4, type: 'fixed64' },
      sum: { id: 5, type: 'double' },
      bucketCounts: { id: 6, type: 'fixed64', rule: 'repeated' },
      explicitBounds: { id: 7, type: 'double', rule: 'repeated' },
      exemplars: { id: 8, type: 'Exemplar', rule: 'repeated' },
      flags: { id: 10, type: 'uint32' },
      min: { id: 11, type: 'double' },
      max: { id: 12, type: 'double' },
    },
  },
  ExponentialHistogramDataPoint: {
    fields: {
      attributes: { id: 1, type: 'KeyValue', rule: 'repeated' },
      startTimeUnixNano: { id: 2, type: 'fixed64' },
      timeUnixNano: { id: 3, type: 'fixed64' },
      count: { id: 4, type: 'fixed64' },
      sum: { id: 5, type: 'double' },
      scale: { id: 6, type: 'sint32' },
      zeroCount: { id: 7, type: 'fixed64' },
      positive: { id: 8, type: 'Buckets' },
      negative: { id: 9, type: 'Buckets' },
      flags: { id: 10, type: 'uint32' },
      exemplars: { id: 11, type: 'Exemplar', rule: 'repeated' },
      min: { id: 12, type: 'double' },
      max: { id: 13, type: 'double' },
      zeroThreshold: { id: 14, type: 'double' },
    },
  },
  Buckets: {
    fields: {
      offset: { id: 1, type: 'sint32' },
      bucketCounts: { id: 2, type: 'uint64', rule: 'repeated' },
    },
  },
  SummaryDataPoint: {
    fields: {
      attributes: { id: 7, type: 'KeyValue', rule: 'repeated' },
      startTimeUnixNano: { id: 2, type: 'fixed64' },
      timeUnixNano: { id: 3, type: 'fixed64' },
      count: { id: 4, type: 'fixed64' },
      sum: { id: 5, type: 'double' },
      quantileValues: { id: 6, type: 'ValueAtQuantile', rule: 'repeated' },
      flags: { id: 8, type: 'uint32' },
    },
  },
  ValueAtQuantile: {
    fields: { quantile: { id: 1, type: 'double' }, value: { id: 2, type: 'double' } },
  },
  Exemplar: {
    oneofs: { value: { oneof: ['asDouble', 'asInt'] } },
    fields: {
      filteredAttributes: { id: 7, type: 'KeyValue', rule: 'repeated' },
      timeUnixNano: { id: 2, type: 'fixed64' },
      asDouble: { id: 3, type: 'double' },
      asInt: { id: 6, type: 'sfixed64' },
      spanId: { id: 4, type: 'bytes' },
      traceId: { id: 5, type: 'bytes' },
    },
  },
} satisfies Schemas
