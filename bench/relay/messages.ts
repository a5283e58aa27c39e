/** What the processes of the relay benchmark say to each other, by Node's channel between parent and child. */
export type Protocol = 'http' | 'grpc'

/** To the senders: one run. */
export interface LoadOrder {
  readonly protocol: Protocol
  readonly port: number
  readonly spansARequest: number
  readonly connections: number
  /** 0: as fast as the other side takes them. */
  readonly spansPerSecond: number
  readonly warmMs: number
  readonly measureMs: number
}

/** From the senders: `measuring` when they are warm, then the result of what came after, then, when nothing is on its way, all. */
export type LoadReport =
  | { readonly kind: 'measuring' }
  | {
      readonly kind: 'measured'
      /** Spans that the other side has accepted. */
      readonly accepted: number
      readonly failed: number
      readonly p50Ms: number
      readonly p99Ms: number
    }
  /** Spans that were accepted from begin to end. */
  | { readonly kind: 'done'; readonly accepted: number }

/** From the sink, once: where it listens; then, for every question, how many spans have come. */
export type SinkReport =
  | { readonly kind: 'listening'; readonly http: number; readonly grpc: number }
  | { readonly kind: 'count'; readonly spans: number }

/** Where OTLP's trace requests go. */
export const tracePaths = {
  http: '/v1/traces',
  grpc: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
} as const satisfies Record<Protocol, string>

/** HTTP/2 windows in which a request of usual size fits as a whole, for every sender, sink and bare relay here. */
export const streamWindowBytes = 4 * 1024 * 1024
export const sessionWindowBytes = 16 * 1024 * 1024
