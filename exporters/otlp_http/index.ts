import { Pool } from 'undici'
import { defineExporter, type ExporterContext } from '../../core/component.ts'
import { deliverySchema } from '../../core/delivery/schema.ts'
import { clientTlsSchema, readClientTls } from '../../core/delivery/tls.ts'
import { occasionally } from '../../core/log-rate.ts'
import type { Infer, ObjectSchema } from '../../core/schema.ts'
import { gzip } from '../../formats/otlp/compression.ts'
import { contentTypes, type Encoding } from '../../formats/otlp/encoding.ts'
import { writeJsonBytes } from '../../formats/otlp/json-write.ts'
import { allSignals } from '../../formats/otlp/signals.ts'
import type { Batch, Signal } from '../../model/batch.ts'
import { concatBytes, sizeOf } from '../../model/wire.ts'
import { noEndpoint, requestTooLarge } from './errors.ts'
import { post, readReply, type Target } from './exchange.ts'

const endpointOf = (signal: Signal) =>
  ({
    type: 'string',
    format: 'uri',
    description: `Whole URL for ${signal}, instead of endpoint with the usual path.`,
  }) as const

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    endpoint: {
      type: 'string',
      format: 'uri',
      description: 'Base URL; the path of the signal, such as `/v1/traces`, is put behind it.',
      examples: ['http://localhost:4318'],
    },
    traces_endpoint: endpointOf('traces'),
    metrics_endpoint: endpointOf('metrics'),
    logs_endpoint: endpointOf('logs'),
    profiles_endpoint: endpointOf('profiles'),
    headers: {
      type: 'object',
      description: 'Headers of every request, for example for authorization.',
      additionalProperties: { type: 'string', secret: true },
      properties: {},
      default: {},
    },
    compression: {
      type: 'string',
      enum: ['gzip', 'none'],
      default: 'gzip',
      description: 'How bodies are compressed.',
    },
    encoding: {
      type: 'string',
      enum: ['proto', 'json'],
      default: 'proto',
      description: 'What bodies are written in.',
    },
    max_request_size: {
      type: 'string',
      format: 'size',
      default: '64MiB',
      differs: 'Not in the Collector, which has no limit. OTLP 1.11 wants one.',
      description: 'A batch that is larger before compression is dropped instead of sent.',
    },
    max_response_size: {
      type: 'string',
      format: 'size',
      default: '4MiB',
      differs: 'Not in the Collector. OTLP 1.11 wants it configurable.',
      description: 'A larger reply is not read; its batch counts as refused.',
    },
    tls: clientTlsSchema,
    ...deliverySchema,
    timeout: { ...deliverySchema.timeout, default: '30s' },
  },
} as const satisfies ObjectSchema

const endpointKeys = [
  'endpoint',
  'traces_endpoint',
  'metrics_endpoint',
  'logs_endpoint',
  'profiles_endpoint',
] as const

export default defineExporter({
  type: 'otlp_http',
  aliases: ['otlphttp'],
  description: 'Delivers OTLP by HTTP, protobuf or JSON.',
  stability: 'alpha',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema,
  check(config) {
    const unusable = endpointKeys.filter(key => {
      const url = config[key]
      return url !== undefined && !/^https?:\/\/[^/]/i.test(url)
    })
    if (unusable.length > 0) {
      return unusable.map(setting => ({
        setting,
        message: 'must begin with http:// or https:// and a host.',
      }))
    }
    if (urlsOf(config).size > 0) return []
    return [
      { setting: 'endpoint', message: 'is not set, nor is one for a single signal. Write http://host:4318.' },
    ]
  },
  async create(config, context) {
    const tls = await readClientTls(config.tls)
    const pools = new Map<string, Pool>()
    const targets = targetsOf(config, context, origin => {
      const known = pools.get(origin)
      if (known) return known
      const connections = config.sending_queue.num_consumers
      const pool = new Pool(origin, { connections, connect: { ...tls, timeout: connectMs } })
      pools.set(origin, pool)
      return pool
    })
    const say = occasionally(context.logger, context.clock)
    return {
      async export(batch, cancelled) {
        if (batch.items === 0) return
        const target = targets.get(batch.signal)
        if (!target) throw noEndpoint(context.id, batch.signal)
        const body = await bodyOf(batch, target, config)
        const reply = readReply(
          await post(target, body, cancelled),
          batch.signal,
          target,
          context.clock.nowMs(),
        )
        if (reply === 'unreadable') {
          say.warn({ url: target.url.href }, 'the reply to an accepted batch is no OTLP')
        } else if (reply) {
          context.drop(batch, Math.min(batch.items, reply.rejected), 'rejected by the other side')
          say.warn({ url: target.url.href, ...reply }, 'the other side rejected a part of a batch')
        }
      },
      async close() {
        await Promise.all([...pools.values()].map(pool => pool.destroy()))
      },
    }
  },
})

const connectMs = 10_000

type Config = Infer<typeof schema>

/** Only signals that have a URL. */
function urlsOf(config: Config): ReadonlyMap<Signal, URL> {
  const own: Readonly<Record<Signal, string | undefined>> = {
    traces: config.traces_endpoint,
    metrics: config.metrics_endpoint,
    logs: config.logs_endpoint,
    profiles: config.profiles_endpoint,
  }
  const base = config.endpoint?.replace(/\/+$/, '')
  const urls = new Map<Signal, URL>()
  for (const { signal, httpPath } of allSignals) {
    const text = own[signal] ?? (base === undefined ? undefined : base + httpPath)
    if (text !== undefined) urls.set(signal, new URL(text))
  }
  return urls
}

function targetsOf(
  config: Config,
  { id }: ExporterContext,
  poolOf: (origin: string) => Pool,
): ReadonlyMap<Signal, Target> {
  const encoding: Encoding = config.encoding === 'json' ? 'json' : 'protobuf'
  const headers: Record<string, string> = { 'user-agent': 'fullspan' }
  for (const [name, value] of Object.entries(config.headers)) headers[name.toLowerCase()] = value
  headers['content-type'] = contentTypes[encoding]
  if (config.compression === 'gzip') headers['content-encoding'] = 'gzip'
  const shared = { id, headers, encoding, maximumReplyBytes: config.max_response_size }
  const targets = new Map<Signal, Target>()
  for (const [signal, url] of urlsOf(config))
    targets.set(signal, { ...shared, url, pool: poolOf(url.origin) })
  return targets
}

/** In pieces, so that what nobody has to read as a whole is not copied into one. */
async function bodyOf(
  batch: Batch,
  { id, encoding }: Target,
  config: Config,
): Promise<readonly Uint8Array[]> {
  const pieces = batch.encodePieces()
  const plain = encoding === 'json' ? [writeJsonBytes(batch.signal, concatBytes(pieces))] : pieces
  const size = sizeOf(plain)
  if (size > config.max_request_size) throw requestTooLarge(id, size, config.max_request_size)
  return config.compression === 'gzip' ? [await gzip(concatBytes(plain))] : plain
}
