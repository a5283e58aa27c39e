import type { Infer, ObjectSchema } from '../schema.ts'

const references = {
  type: 'array',
  items: { type: 'string', minLength: 1 },
} as const

const pipeline = {
  type: 'object',
  additionalProperties: false,
  required: ['receivers', 'exporters'],
  description:
    'One way through: what comes from these receivers goes through these processors to these exporters.',
  properties: {
    receivers: {
      ...references,
      minItems: 1,
      description: 'Ids of receivers. The same id may feed several pipelines.',
    },
    processors: {
      ...references,
      default: [],
      description: 'Ids of processors, in the order in which batches pass. One instance per pipeline.',
    },
    exporters: { ...references, minItems: 1, description: 'Ids of exporters. Each gets everything.' },
  },
} as const satisfies ObjectSchema

const telemetry = {
  type: 'object',
  additionalProperties: false,
  default: {},
  description: 'What Fullspan says about itself.',
  properties: {
    logs: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'The log, which goes to standard error.',
      properties: {
        level: {
          type: 'string',
          enum: ['debug', 'info', 'warn', 'error', 'DEBUG', 'INFO', 'WARN', 'ERROR'],
          default: 'info',
          description: 'Lines below this level are left out.',
        },
        encoding: {
          type: 'string',
          enum: ['console', 'json'],
          default: 'console',
          description: 'One line of text (in colours on a terminal), or one JSON object a line.',
        },
      },
    },
    metrics: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: "Metrics under the Collector's names, for Prometheus to scrape.",
      properties: {
        level: {
          type: 'string',
          enum: ['none', 'basic', 'normal', 'detailed'],
          default: 'normal',
          description: '`none` opens no port; the other levels give the same metrics.',
        },
        address: {
          type: 'string',
          format: 'endpoint',
          default: 'localhost:8888',
          description: 'Where `/metrics` is served.',
        },
        without_type_suffix: {
          type: 'boolean',
          default: true,
          description: 'Names of counters do not end in `_total`, as on the Collector’s own page.',
        },
        host: { type: 'string', description: 'Host of `address`, as newer Collectors write it.' },
        port: {
          type: 'integer',
          minimum: 0,
          maximum: 65_535,
          description: 'Port of `address`, as newer Collectors write it. 0 takes any free one.',
        },
      },
    },
  },
} as const satisfies ObjectSchema

/** The `service` section. Keys and defaults are the Collector's where it has them. */
export const serviceSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['pipelines'],
  description: 'What runs: the pipelines, and how Fullspan itself behaves.',
  properties: {
    extensions: { ...references, default: [], description: 'Ids of the extensions that run.' },
    pipelines: {
      type: 'object',
      additionalProperties: pipeline,
      properties: {},
      description: 'By `<signal>` or `<signal>/<name>`, where a signal is traces, metrics, logs or profiles.',
    },
    telemetry,
    shutdown_timeout: {
      type: 'string',
      format: 'duration',
      default: '10s',
      description:
        'How long a stop may take. What is not delivered by then is dropped, counted and printed (exit code 3).',
    },
    settle_timeout: {
      type: 'string',
      format: 'duration',
      default: '10m',
      description:
        'What was accepted and is not delivered or dropped after this time is reported, with the component that has it.',
    },
    processor_queue_size: {
      type: 'integer',
      minimum: 1,
      default: 100,
      description:
        'How many batches may wait in front of a processor that works asynchronously before receivers refuse.',
    },
    processor_timeout: {
      type: 'string',
      format: 'duration',
      default: '30s',
      description:
        'How long an asynchronous processor may take for one batch, which is dropped then. After two in a row it is passed over for as long, and its batches are dropped. 0: no limit.',
    },
    run_as: {
      type: 'string',
      minLength: 1,
      default: 'nobody',
      description:
        'Started as root, Fullspan becomes this user once every component has started. `root` stays root.',
    },
  },
} as const satisfies ObjectSchema

export type ServiceConfig = Infer<typeof serviceSchema>
