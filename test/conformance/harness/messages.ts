import { encodeWith } from '../../helpers/otlp-oracle.ts'

/** The signals with what tells them apart on the wire, from the specification and not from our tables. */
export const signals = [
  {
    name: 'traces',
    path: '/v1/traces',
    grpcPath: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    message: 'Trace',
    rejected: 'rejectedSpans',
    resources: 'resourceSpans',
    scopes: 'scopeSpans',
  },
  {
    name: 'metrics',
    path: '/v1/metrics',
    grpcPath: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
    message: 'Metrics',
    rejected: 'rejectedDataPoints',
    resources: 'resourceMetrics',
    scopes: 'scopeMetrics',
  },
  {
    name: 'logs',
    path: '/v1/logs',
    grpcPath: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
    message: 'Logs',
    rejected: 'rejectedLogRecords',
    resources: 'resourceLogs',
    scopes: 'scopeLogs',
  },
  {
    name: 'profiles',
    path: '/v1development/profiles',
    grpcPath: '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export',
    message: 'Profiles',
    rejected: 'rejectedProfiles',
    resources: 'resourceProfiles',
    scopes: 'scopeProfiles',
  },
] as const

export type SignalInfo = (typeof signals)[number]

export const [traces, metrics, logs] = signals

let lastMarker = 0

/** A text that stands in nothing else. */
export function newMarker(): string {
  return `marker-${String(++lastMarker).padStart(6, '0')}`
}

/** Ids made from a number, so that every span has its own. */
export function idsOf(number: number): { traceId: string; spanId: string } {
  return {
    traceId: (0xfe000000 + number).toString(16).padStart(32, '0'),
    spanId: (0xfe000000 + number).toString(16).padStart(16, '0'),
  }
}

let lastSpan = 0

/** A span as OTLP/JSON has it. */
export function jsonSpan(name: string, more: object = {}): object {
  const times = { startTimeUnixNano: '1700000000000000001', endTimeUnixNano: '1700000000000000002' }
  return { ...idsOf(++lastSpan), name, kind: 2, ...times, ...more }
}

/** One item of the signal, named by the marker. */
function jsonItem({ name }: SignalInfo, marker: string): object {
  switch (name) {
    case 'traces':
      return { spans: [jsonSpan(marker)] }
    case 'metrics':
      return { metrics: [{ name: marker, gauge: { dataPoints: [{ timeUnixNano: '5', asInt: '7' }] } }] }
    case 'logs':
      return { logRecords: [{ timeUnixNano: '5', severityNumber: 9, body: { stringValue: marker } }] }
    case 'profiles':
      return { profiles: [{ samples: [{ values: ['1'] }] }] }
  }
}

/** A request with one item, as OTLP/JSON. */
export function jsonRequest(signal: SignalInfo, marker: string): string {
  return JSON.stringify(jsonFields(signal, marker))
}

function jsonFields(signal: SignalInfo, marker: string): object {
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'conformance' } }] }
  const scope = { scope: { name: 'test' }, ...jsonItem(signal, marker) }
  const dictionary = signal.name === 'profiles' && { dictionary: { stringTable: ['', marker] } }
  return { [signal.resources]: [{ resource, [signal.scopes]: [scope] }], ...dictionary }
}

/** The same as protobuf. */
export function protobufRequest(signal: SignalInfo, marker: string): Uint8Array {
  const fields = jsonFields(signal, marker)
  return encodeWith(
    `Export${signal.message}ServiceRequest`,
    JSON.parse(JSON.stringify(fields), (key, value: unknown) =>
      (key === 'traceId' || key === 'spanId') && typeof value === 'string'
        ? Buffer.from(value, 'hex')
        : value,
    ) as object,
  )
}

/** A trace request around spans given as OTLP/JSON text. */
export function traceJson(...spans: readonly string[]): string {
  return `{"resourceSpans":[{"scopeSpans":[{"spans":[${spans.join(',')}]}]}]}`
}

/** Required fields of a span as JSON text, without braces, to be written on. */
export function spanText(name: string): string {
  return JSON.stringify(jsonSpan(name)).slice(1, -1)
}
