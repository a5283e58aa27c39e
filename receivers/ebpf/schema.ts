import type { ObjectSchema } from '../../core/schema.ts'

export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    net: {
      type: 'boolean',
      default: true,
      description: 'Packets at every interface of every network namespace, beside system calls.',
    },
    network_namespaces: {
      type: 'array',
      items: {
        type: 'string',
        minLength: 1,
        description: 'A name under /run/netns; `*` stands for any characters.',
      },
      default: [],
      description:
        'Only what happens in these named network namespaces, as they are at the start. Empty: everything on the machine.',
    },
    max_payload_bytes: {
      type: 'integer',
      minimum: 32,
      maximum: 8192,
      default: 2048,
      description:
        'Head of each send, receive and packet that is captured. Headers beyond it are not seen; bodies are never needed.',
    },
    udp_ports: {
      type: 'array',
      items: { type: 'integer', minimum: 1, maximum: 65535, description: 'A port.' },
      default: [53],
      description: 'Datagrams from and to these ports are captured.',
    },
    exclude_ports: {
      type: 'array',
      items: { type: 'integer', minimum: 1, maximum: 65535, description: 'A port.' },
      default: [],
      description: 'TCP ports that are left out, besides those on which Fullspan itself listens.',
    },
    record: {
      type: 'string',
      description:
        'File into which the captured events are recorded, for `replay`. It holds what the payloads hold.',
    },
    record_max_size: {
      type: 'string',
      format: 'size',
      default: '256MiB',
      description: 'Recording stops at this size.',
    },
    replay: {
      type: 'string',
      description: 'A recording to replay instead of capturing: needs neither root nor a kernel with eBPF.',
    },
    replay_pace: {
      type: 'string',
      enum: ['fast', 'real_time'],
      default: 'fast',
      description: 'As fast as can be, or with the pauses of the recording.',
    },
  },
} as const satisfies ObjectSchema
