import type { OutgoingHttpHeaders } from 'node:http2'
import { defineExporter } from '../../core/component.ts'
import { deliverySchema } from '../../core/delivery/schema.ts'
import { clientTlsSchema, readClientTls } from '../../core/delivery/tls.ts'
import { occasionally } from '../../core/log-rate.ts'
import type { Infer, ObjectSchema } from '../../core/schema.ts'
import { gzip } from '../../formats/otlp/compression.ts'
import { formatGrpcTimeout, framePrefix } from '../../formats/otlp/grpc-framing.ts'
import { decodeReply } from '../../formats/otlp/reply.ts'
import { signalFacts } from '../../formats/otlp/signals.ts'
import { grpcCode } from '../../formats/otlp/status.ts'
import { concatBytes, sizeOf } from '../../model/wire.ts'
import { unaryCall } from './call.ts'
import { createConnection } from './connection.ts'
import { failedCall, requestTooLarge } from './errors.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['endpoint'],
  properties: {
    endpoint: {
      type: 'string',
      pattern: '^(https?://)?[^/\\s]+:[0-9]+/?$',
      description:
        '`host:port`. `http://` before it speaks plain text, `https://` TLS, without either `tls` decides.',
      examples: ['localhost:4317'],
    },
    headers: {
      type: 'object',
      description: 'Metadata of every call, for example for authorization.',
      additionalProperties: { type: 'string', secret: true },
      properties: {},
      default: {},
    },
    compression: {
      type: 'string',
      enum: ['gzip', 'none'],
      default: 'gzip',
      description: 'How messages are compressed.',
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
    keepalive: {
      type: 'object',
      description: 'Pings that find out about dead connections. Servers may forbid frequent ones.',
      additionalProperties: false,
      default: {},
      properties: {
        time: { type: 'string', format: 'duration', default: '0s', description: 'How often; 0 is never.' },
        timeout: {
          type: 'string',
          format: 'duration',
          default: '20s',
          description: 'A connection that does not answer for so long is dropped.',
        },
        permit_without_stream: {
          type: 'boolean',
          default: false,
          description: 'Also while nothing is being sent.',
        },
      },
    },
    tls: clientTlsSchema,
    ...deliverySchema,
  },
} as const satisfies ObjectSchema

export default defineExporter({
  type: 'otlp_grpc',
  aliases: ['otlp'],
  description: 'Delivers OTLP by gRPC.',
  stability: 'alpha',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema,
  async create(config, context) {
    const { id } = context
    const origin = originOf(config)
    const connection = createConnection(origin, await readClientTls(config.tls), config.keepalive)
    const headers = callHeaders(config, origin)
    const say = occasionally(context.logger, context.clock)
    return {
      async export(batch, cancelled) {
        if (batch.items === 0) return
        const plain = batch.encodePieces()
        const size = sizeOf(plain)
        if (size > config.max_request_size) throw requestTooLarge(id, size, config.max_request_size)
        const isCompressed = config.compression === 'gzip'
        const pieces = isCompressed ? [await gzip(concatBytes(plain))] : plain
        const frame = [framePrefix(isCompressed ? sizeOf(pieces) : size, isCompressed), ...pieces]
        const options = { cancelled, maximumReplyBytes: config.max_response_size }
        const call = { ...headers, ':path': signalFacts[batch.signal].grpcPath }
        const { status, message } = await unaryCall(connection.session(), call, frame, options)
        if (status.code !== grpcCode.ok) {
          if (cancelled.aborted || status.code === grpcCode.deadlineExceeded) connection.suspect()
          throw failedCall(id, config.endpoint, status)
        }
        const reply = decodeReply(batch.signal, 'protobuf', message)
        if (reply === 'unreadable') {
          say.warn({ endpoint: config.endpoint }, 'the reply to an accepted batch is no OTLP')
        } else if (reply) {
          context.drop(batch, Math.min(batch.items, reply.rejected), 'rejected by the other side')
          say.warn({ endpoint: config.endpoint, ...reply }, 'the other side rejected a part of a batch')
        }
      },
      close: () => connection.close(),
    }
  },
})

type Config = Infer<typeof schema>

function originOf({ endpoint, tls }: Config): string {
  const [, scheme, address = endpoint] = /^(https?):\/\/(.*?)\/?$/.exec(endpoint) ?? []
  const isPlain = scheme === undefined ? tls.insecure : scheme === 'http'
  return `${isPlain ? 'http' : 'https'}://${address}`
}

function callHeaders(config: Config, origin: string): OutgoingHttpHeaders {
  const own = Object.entries(config.headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const { host, protocol } = new URL(origin)
  return {
    ...Object.fromEntries(own),
    ':method': 'POST',
    ':scheme': protocol.slice(0, -1),
    ':authority': host,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'fullspan',
    'grpc-accept-encoding': 'identity,gzip,deflate',
    ...(config.compression === 'gzip' && { 'grpc-encoding': 'gzip' }),
    ...(config.timeout > 0 && { 'grpc-timeout': formatGrpcTimeout(config.timeout) }),
  }
}
