import { defineExporter } from '../../core/component.ts'
import { writeJsonRequest } from '../../formats/otlp/json-write.ts'
import { openOutput } from './output.ts'

/**
 * One line of OTLP/JSON per batch: what `otlpjsonfile` receivers and `jq` read. Or `format: proto`: each request behind its
 * length in four bytes, high byte first, as the Collector's fileexporter writes it.
 */
export default defineExporter({
  type: 'file',
  description: 'Writes OTLP, JSON or protobuf, to a file or to standard output.',
  stability: 'beta',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, description: 'The file; `-` is standard output.' },
      format: {
        type: 'string',
        enum: ['json', 'proto'],
        default: 'json',
        description:
          '`json`: one request a line. `proto`: each request behind its length in four bytes, high byte first.',
      },
      append: {
        type: 'boolean',
        default: false,
        description: 'Keep what is in the file at the start. With `rotation` it is always kept.',
      },
      create_directory: {
        type: 'boolean',
        default: true,
        description: 'Make the folder of the file if it is missing.',
        differs: 'Off in the Collector. A missing folder is no reason not to start.',
      },
      rotation: {
        type: 'object',
        additionalProperties: false,
        description: 'Its presence bounds the file: a full one is renamed and a new one is begun.',
        properties: {
          max_megabytes: {
            type: 'integer',
            minimum: 1,
            default: 100,
            description: 'Size at which a file is full, in MiB.',
          },
          max_backups: {
            type: 'integer',
            minimum: 0,
            default: 100,
            description: 'How many full files are kept. 0: all.',
          },
          max_days: {
            type: 'integer',
            minimum: 0,
            default: 0,
            description: 'Full files older than this are removed. 0: none for its age.',
          },
        },
      },
    },
  },
  check: ({ path, rotation }) =>
    path === '-' && rotation
      ? [{ setting: 'rotation', message: 'cannot be used with standard output.' }]
      : [],
  async create(config, { owner, clock }) {
    const output = await openOutput({ ...config, owner, nowMs: () => clock.nowMs() })
    return {
      export: batch =>
        output.write(
          config.format === 'proto'
            ? withLength(batch.encode())
            : Buffer.from(`${writeJsonRequest(batch.signal, batch.encode())}\n`),
        ),
      close: () => output.close(),
    }
  },
})

function withLength(request: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(4 + request.length)
  bytes.writeUInt32BE(request.length)
  bytes.set(request, 4)
  return bytes
}
