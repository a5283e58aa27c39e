import type { Signal } from '../../model/batch.ts'

/** What tells the signals apart on the wire (OTLP 1.11). */
export interface SignalFacts {
  readonly signal: Signal
  /** Default path of OTLP/HTTP. */
  readonly httpPath: string
  /** `:path` of the unary call. */
  readonly grpcPath: string
  /** Schema name of the request message. */
  readonly request: string
  /** JSON name of the count in the reply's partial success. */
  readonly rejected: string
  /** What is counted, for messages. */
  readonly items: string
}

const facts = (
  signal: Signal,
  version: string,
  [service, request]: readonly [string, string],
  [rejected, items]: readonly [string, string],
): SignalFacts => ({
  signal,
  httpPath: `/${version}/${signal}`,
  grpcPath: `/opentelemetry.proto.collector.${service}.${version}.${request}Service/Export`,
  request: `Export${request}ServiceRequest`,
  rejected,
  items,
})

export const signalFacts: Readonly<Record<Signal, SignalFacts>> = {
  traces: facts('traces', 'v1', ['trace', 'Trace'], ['rejectedSpans', 'spans']),
  metrics: facts('metrics', 'v1', ['metrics', 'Metrics'], ['rejectedDataPoints', 'data points']),
  logs: facts('logs', 'v1', ['logs', 'Logs'], ['rejectedLogRecords', 'log records']),
  profiles: facts(
    'profiles',
    'v1development',
    ['profiles', 'Profiles'],
    ['rejectedProfiles', 'profile samples'],
  ),
}

export const allSignals: readonly SignalFacts[] = Object.values(signalFacts)
