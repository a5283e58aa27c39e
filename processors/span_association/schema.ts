import type { ObjectSchema } from '../../core/schema.ts'

export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    mode: {
      type: 'string',
      enum: ['attach', 'rewrite'],
      default: 'attach',
      description:
        '`attach` leaves APP spans and their parents alone and hangs SYS and NET spans beside them. `rewrite` puts SYS and NET spans between the APP spans and keeps the old parent as an attribute.',
    },
    idle_timeout: {
      type: 'string',
      format: 'duration',
      default: '10s',
      description: 'A trace leaves when no span of it came for this long. SDKs send up to 5 s late.',
    },
    max_age: {
      type: 'string',
      format: 'duration',
      default: '2m',
      description: 'A trace leaves when its first span came this long ago, even if more are coming.',
    },
    max_held_bytes: {
      type: 'string',
      format: 'size',
      default: '256MiB',
      description: 'Spans held at once, in bytes. Above it the oldest traces leave first.',
    },
    max_trace_spans: {
      type: 'integer',
      minimum: 1,
      default: 10000,
      description: 'A trace of more spans leaves in pieces, as soon as a piece is full.',
    },
    max_traces: {
      type: 'integer',
      minimum: 1,
      default: 100000,
      description:
        'Traces held at once, as far as they are known before they leave: trace ids of APP spans, and exchanges that name none. Above it the oldest leave first.',
    },
    max_remembered: {
      type: 'integer',
      minimum: 0,
      default: 200000,
      description: 'Spans and keys of traces that have left, kept so that late spans join them.',
    },
    min_confidence: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 0.8,
      description: 'Links that are less sure are not made: no link is better than a wrong one.',
    },
    statistics: {
      type: 'object',
      default: {},
      additionalProperties: false,
      description:
        'Where no other rule knows the cause of an outgoing call: which request of its process it most likely belongs to, by learnt delays and order.',
      properties: {
        enabled: { type: 'boolean', default: true, description: 'false: such calls stay without a parent.' },
        decide_after: {
          type: 'string',
          format: 'duration',
          default: '2s',
          description:
            'How long after a call came it is judged; longer (half of `idle_timeout` at most) while little is known of its process. A request that takes longer than this after its call has ended cannot be found.',
        },
        max_at_once: {
          type: 'integer',
          minimum: 10,
          default: 5000,
          description:
            'Calls, and requests, of one process that are judged together. More are passed over and counted.',
        },
        max_processes: {
          type: 'integer',
          minimum: 1,
          default: 1000,
          description: 'Processes of which something is learnt; above it the oldest is forgotten.',
        },
      },
    },
    explain: {
      type: 'boolean',
      default: false,
      description:
        'true: spans also say which other parents were rejected, and why, in `fullspan.link.rejected`. `fullspan explain` shows it.',
    },
    forward_app: {
      type: 'boolean',
      default: true,
      description:
        'false: APP spans are used but not forwarded, because SDKs also send them to the back end themselves.',
    },
    trace_ids: {
      type: 'string',
      enum: ['keep', 'unify'],
      default: 'keep',
      description:
        '`keep`: OpenTelemetry trace ids are never rewritten; a second one in a trace gets a span link. `unify`: the one nearest the root for all.',
    },
    unsampled: {
      type: 'string',
      enum: ['drop', 'keep'],
      default: 'drop',
      description:
        'What becomes of SYS and NET spans of requests whose `traceparent` says that they are not sampled.',
    },
  },
} as const satisfies ObjectSchema
