import type { ObjectSchema } from '../../core/schema.ts'
import { defaultServiceNameRules, serviceNameRules } from '../../flow/service-name.ts'

const port = { type: 'integer', minimum: 1, maximum: 65535, description: 'A port.' } as const

const listsOf = (what: string, description: string) =>
  ({
    type: 'object',
    additionalProperties: false,
    default: {},
    description,
    properties: {
      ports: { type: 'array', items: port, default: [], description: `${what} with one of these ports.` },
      network_namespaces: {
        type: 'array',
        items: { type: 'string', minLength: 1, description: 'A name under /run/netns; `*` is any text.' },
        default: [],
        description: `${what} in these network namespaces, as they are at the start.`,
      },
      cidrs: {
        type: 'array',
        items: { type: 'string', minLength: 2, description: 'An address or a prefix: `10.0.0.0/8`.' },
        default: [],
        description: `${what} one end of which has such an address.`,
      },
      pids: {
        type: 'array',
        items: { type: 'integer', minimum: 1, maximum: 4194304, description: 'A process.' },
        default: [],
        description: `${what} of these processes. SYS only: packets have no process.`,
      },
      cgroups: {
        type: 'array',
        items: { type: 'string', pattern: '^/', description: 'A path as in /proc/PID/cgroup.' },
        default: [],
        description: `${what} of processes in these control groups or below. SYS only.`,
      },
    },
  }) as const

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
      items: port,
      default: [53],
      description: 'Datagrams from and to these ports are captured.',
    },
    exclude_ports: {
      type: 'array',
      items: port,
      default: [],
      description: 'TCP ports that are left out, besides those on which Fullspan itself listens.',
    },
    unix: {
      type: 'boolean',
      default: true,
      description: 'Unix sockets (stream and seqpacket), beside TCP and the chosen UDP ports.',
    },
    tls: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Encrypted connections.',
      properties: {
        enabled: {
          type: 'boolean',
          default: true,
          description:
            'What programs give to OpenSSL (1.1, 3; shared, or within an executable such as Node.js) and get from it, in the clear. Costs each of these calls two stops in the kernel. `false`: such connections are seen from outside only.',
        },
      },
    },
    filter: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'What is captured at all: decided in the kernel, before it costs anything.',
      properties: {
        include: listsOf('Connections', 'Only these. Of several kinds of lists each must agree.'),
        exclude: listsOf('Connections', 'None of these, whatever `include` says.'),
      },
    },
    sys_tier: {
      type: 'string',
      enum: ['auto', 'sock', 'syscall'],
      default: 'auto',
      description:
        'How system calls are seen: `sock` takes kernel 6.3; `syscall` works before it, costs every system call something, and does not see io_uring. `auto`: the best that the kernel has.',
    },
    net_tier: {
      type: 'string',
      enum: ['auto', 'tracepoint', 'packet_socket'],
      default: 'auto',
      description:
        'How packets are seen: `tracepoint` takes kernel 6.12; `packet_socket` opens one in every network namespace, copies every packet to the probe, and keeps CAP_NET_RAW and CAP_NET_ADMIN. `auto`: the best that the kernel has.',
    },
    send_start: {
      type: 'string',
      enum: ['auto', 'locked', 'enter', 'packet'],
      default: 'auto',
      description:
        'What tells when a send began: `locked` (tcp_sendmsg_locked) takes kernel 6.16; `enter` (sys_enter) costs every system call something; `packet` is the first packet, and needs `net`. `auto`: `locked`, else `enter`.',
    },
    budget: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description:
        'What capture may cost. Over it, it steps down: payloads are cut to 256 bytes, then half of the connections is only counted, a quarter is left, and so on; under it, step by step up again.',
      properties: {
        max_cpu_percent: {
          type: 'integer',
          minimum: 1,
          maximum: 100000,
          description:
            'Of one processor, for BPF programs, probe and this process together. Default: no limit.',
        },
        max_events_per_second: {
          type: 'integer',
          minimum: 1,
          maximum: 4294967295,
          description: 'Sends, receives and packets. Default: no limit.',
        },
      },
    },
    probe_socket: {
      type: 'string',
      minLength: 1,
      description:
        'Unix socket of a probe that runs as a service of its own (bpf/systemd), instead of starting one: this process then needs no root at all. What is captured is said by its command line; of the settings here only those about recording, replay and names count.',
    },
    service_name: {
      type: 'array',
      items: { type: 'string', enum: serviceNameRules, description: 'A rule.' },
      default: defaultServiceNameRules,
      description:
        'Rules for `service.name`, the first that gives one wins: `environment` (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES), `systemd_unit`, `container` (short id), `executable` (of an interpreter: its program), `port` (the first that it served: `port-8080`).',
    },
    record: {
      type: 'string',
      description:
        'File into which the captured events are recorded, for `replay`. It holds what the payloads hold, also what TLS encrypts on the wire: keep it as safe as that.',
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
