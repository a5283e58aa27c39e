import { defineReceiver, type ReceiverContext } from '../../core/component.ts'
import type { ObjectSchema } from '../../core/schema.ts'
import { allSignals } from '../../formats/otlp/signals.ts'
import type { Signal } from '../../model/batch.ts'
import { openGrpc } from './grpc.ts'
import { openHttp } from './http.ts'
import { createIntake } from './intake.ts'
import type { OpenServer } from './listen.ts'
import { readServerTls, tlsSchema } from './tls.ts'

const duration = (value: string, description: string) =>
  ({ type: 'string', format: 'duration', default: value, description }) as const

const path = (signal: Signal, value: string) =>
  ({ type: 'string', pattern: '^/', default: value, description: `Path that takes ${signal}.` }) as const

const grpcSchema = {
  type: 'object',
  description: 'OTLP by gRPC. Write the key to have it, also without a value.',
  additionalProperties: false,
  properties: {
    endpoint: {
      type: 'string',
      format: 'endpoint',
      default: 'localhost:4317',
      description: 'Address to listen on; `0.0.0.0:4317` for senders on other machines.',
    },
    max_recv_msg_size_mib: {
      type: 'integer',
      minimum: 1,
      maximum: 1024,
      default: 64,
      differs: '4 in the Collector. OTLP 1.11 recommends 64.',
      description: 'Largest request in MiB, as sent and inflated. Larger ones get RESOURCE_EXHAUSTED.',
    },
    max_concurrent_streams: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      default: 1000,
      differs: 'Without limit in the Collector. Every call is a buffer, so it has one here.',
      description: 'Calls at once on one connection.',
    },
    keepalive: {
      type: 'object',
      description: 'What to do about connections that are silent, idle or old.',
      additionalProperties: false,
      default: {},
      properties: {
        server_parameters: {
          type: 'object',
          description: '0 is never.',
          additionalProperties: false,
          default: {},
          properties: {
            max_connection_idle: duration('0s', 'A connection without calls for so long is closed.'),
            max_connection_age: duration('0s', 'A connection older than this is closed after its calls.'),
            max_connection_age_grace: duration('0s', 'How long those calls may take then.'),
            time: duration('2h', 'A silent connection is pinged this often.'),
            timeout: duration('20s', 'Without an answer to a ping for so long it is closed.'),
          },
        },
      },
    },
    tls: tlsSchema,
  },
} as const satisfies ObjectSchema

const strings = (description: string) =>
  ({ type: 'array', items: { type: 'string' }, default: [], description }) as const

const httpSchema = {
  type: 'object',
  description: 'OTLP by HTTP, protobuf and JSON. Write the key to have it, also without a value.',
  additionalProperties: false,
  properties: {
    endpoint: {
      type: 'string',
      format: 'endpoint',
      default: 'localhost:4318',
      description: 'Address to listen on; `0.0.0.0:4318` for senders on other machines.',
    },
    max_request_body_size: {
      type: 'string',
      format: 'size',
      default: '64MiB',
      differs:
        '20 MiB in the Collector, which answers 400 where OTLP 1.11 wants 413. OTLP recommends 64 MiB.',
      description: 'Largest body, as sent and inflated. Larger ones get 413.',
    },
    traces_url_path: path('traces', '/v1/traces'),
    metrics_url_path: path('metrics', '/v1/metrics'),
    logs_url_path: path('logs', '/v1/logs'),
    profiles_url_path: path('profiles', '/v1development/profiles'),
    cors: {
      type: 'object',
      description: 'For browsers that send telemetry themselves. Off without allowed origins.',
      additionalProperties: false,
      properties: {
        allowed_origins: strings('Origins, a star for any text: `https://*.example.com`.'),
        allowed_headers: strings(
          'Headers allowed beside Accept, Content-Type, Content-Encoding and X-Requested-With.',
        ),
        exposed_headers: strings('Headers of the reply that scripts may read.'),
        max_age: {
          type: 'integer',
          minimum: 0,
          default: 0,
          description: 'Seconds for which a browser may remember this; 0 leaves it to the browser.',
        },
      },
    },
    tls: tlsSchema,
  },
} as const satisfies ObjectSchema

export default defineReceiver({
  type: 'otlp',
  description: 'Takes OTLP by gRPC and HTTP, protobuf and JSON, all signals.',
  stability: 'alpha',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['protocols'],
    properties: {
      protocols: {
        type: 'object',
        description: 'The protocols to serve; one that is not written is off.',
        additionalProperties: false,
        properties: { grpc: grpcSchema, http: httpSchema },
      },
    },
  },
  check({ protocols: { grpc, http } }) {
    if (grpc || http) return []
    return [{ setting: 'protocols', message: 'names no protocol. Write grpc, http or both under it.' }]
  },
  async create({ protocols: { grpc, http } }, context) {
    const { takeIn, intake$, complete } = createIntake(context)
    const shared = { takeIn, logger: context.logger }
    const servers: OpenServer[] = []
    if (grpc) {
      const server = await openGrpc({
        ...shared,
        endpoint: grpc.endpoint,
        key: `receivers.${context.id}.protocols.grpc.endpoint`,
        maximumBytes: grpc.max_recv_msg_size_mib * 1024 * 1024,
        maximumStreams: grpc.max_concurrent_streams,
        keepalive: grpc.keepalive.server_parameters,
        tls: await readServerTls(grpc.tls),
        paths: wantedPaths(context, ({ grpcPath }) => grpcPath),
      })
      context.logger.info({ address: server.address }, 'OTLP/gRPC is listening')
      servers.push(server)
    }
    if (http) {
      const paths = {
        traces: http.traces_url_path,
        metrics: http.metrics_url_path,
        logs: http.logs_url_path,
        profiles: http.profiles_url_path,
      }
      const opening = openHttp({
        ...shared,
        endpoint: http.endpoint,
        key: `receivers.${context.id}.protocols.http.endpoint`,
        maximumBytes: http.max_request_body_size,
        cors: http.cors,
        tls: await readServerTls(http.tls),
        paths: wantedPaths(context, ({ signal }) => paths[signal]),
      })
      const server = await opening.catch(async (error: unknown) => {
        await closeAll(servers)
        throw error
      })
      context.logger.info({ address: server.address }, 'OTLP/HTTP is listening')
      servers.push(server)
    }
    const stop = () => void closeAll(servers).then(complete)
    if (context.stopping.aborted) stop()
    else context.stopping.addEventListener('abort', stop, { once: true })
    return intake$
  },
})

function wantedPaths(
  { signals }: ReceiverContext,
  pathOf: (facts: (typeof allSignals)[number]) => string,
): ReadonlyMap<string, Signal> {
  const wanted = allSignals.filter(({ signal }) => signals.includes(signal))
  return new Map(wanted.map(facts => [pathOf(facts), facts.signal]))
}

async function closeAll(servers: readonly OpenServer[]): Promise<void> {
  await Promise.all(servers.map(server => server.close()))
}
