/**
 * What capture delivers and `flow/` consumes: the probe's records (receivers/ebpf) and, later, pcap frames, as typed events.
 *
 * Times are kernel monotonic nanoseconds (`bpf_ktime_get_ns`, CLOCK_MONOTONIC) unless a name says otherwise; `ClockEvent`
 * maps them to wall time. Addresses are canonical text (`10.0.0.1`, `fd00::1`); an IPv4-mapped IPv6 address is given as
 * IPv4, because two hops of one packet never match otherwise.
 */
export type CaptureEvent =
  | HostEvent
  | ClockEvent
  | ProcessEvent
  | ProcessExitEvent
  | InterfaceEvent
  | InterfaceGoneEvent
  | SocketDataEvent
  | TlsDataEvent
  | SocketCloseEvent
  | PacketEvent
  | OwnConnectionEvent
  | LossEvent
  | GapEvent
  | TickEvent
  | SocketCountsEvent
  | LevelEvent
  | NetworkEvent

export interface Endpoint {
  readonly address: string
  readonly port: number
}

export type Transport = 'tcp' | 'udp' | 'unix'

/** First event of every stream and recording: on which machine it was captured. */
export interface HostEvent {
  readonly type: 'host'
  /** /proc/sys/kernel/random/boot_id without dashes: with it, kernel times and socket cookies are unique. */
  readonly bootId: string
  /** /etc/machine-id, or the boot id where there is none. */
  readonly hostId: string
  readonly hostName: string
  readonly kernelRelease: string
  /** inode of the namespace the probe runs in: the host's own. */
  readonly netns: number
  /** Which tier captures each layer, for the log: e.g. `tp_btf/sock_send_length`. */
  readonly sysTier: string
  readonly netTier: string
}

/** Once a second: one instant read from both clocks. `stepped` marks a jump of the wall clock since the last one. */
export interface ClockEvent {
  readonly type: 'clock'
  readonly monotonicNs: bigint
  readonly realtimeNs: bigint
  readonly stepped: boolean
}

/** Facts about a process, sent before its first SocketDataEvent. Absent facts (process gone already) are empty. */
export interface ProcessEvent {
  readonly type: 'process'
  /** In the host's pid namespace. */
  readonly pid: number
  /** In the process's own innermost pid namespace (NSpid of /proc/PID/status). */
  readonly namespacePid: number
  readonly startTimeNs: bigint
  readonly netns: number
  /** `comm` of the thread group leader. */
  readonly name: string
  readonly executable: string
  /** Arguments joined by spaces; at most 512 bytes. Values that look like secrets are for the receiver to redact. */
  readonly commandLine: string
  readonly cgroup: string
  /** OTEL_SERVICE_NAME of its environment, or service.name of OTEL_RESOURCE_ATTRIBUTES, or ''. */
  readonly serviceName: string
}

/** Several times a second: so that time passes for what waits when nothing else comes, live and in a replay alike. */
export interface TickEvent {
  readonly type: 'tick'
  readonly timeNs: bigint
}

export interface ProcessExitEvent {
  readonly type: 'process_exit'
  readonly pid: number
  readonly timeNs: bigint
}

/** One network interface, at start for all of every namespace and again whenever one changes. */
export interface InterfaceEvent {
  readonly type: 'interface'
  readonly netns: number
  readonly index: number
  readonly name: string
  /** rtnetlink IFLA_INFO_KIND: `veth`, `bridge`, `vxlan`, …; `loopback`; `` for a physical one. */
  readonly kind: string
  /** ifindex of the veth peer (IFLA_LINK) and the namespace it lives in; 0 where there is none or it is unknown. */
  readonly peerIndex: number
  readonly peerNetns: number
  /** ifindex of the bridge that this is a port of; 0 for none. */
  readonly masterIndex: number
  readonly addresses: readonly string[]
}

export interface InterfaceGoneEvent {
  readonly type: 'interface_gone'
  readonly netns: number
  readonly index: number
}

/** One successful send or receive on a socket (one message of sendmmsg/recvmmsg). */
export interface SocketDataEvent {
  readonly type: 'socket_data'
  /** Receive: when the call returned. Send: before the first byte was transmitted (design §7). */
  readonly timeNs: bigint
  /** Socket cookie (`sock_gen_cookie`): unique per boot and network stack; identifies the connection, not (pid, fd). */
  readonly cookie: bigint
  readonly netns: number
  readonly transport: Transport
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Who opened it. `inferred`: the connection is older than the probe, so ports and first speaker decided. */
  readonly role: 'client' | 'server' | 'unknown'
  readonly isRoleInferred: boolean
  readonly direction: 'send' | 'receive'
  /** TCP sequence number (u32) of the first byte moved; 0 for UDP and Unix sockets. */
  readonly seq: number
  /** Bytes moved. */
  readonly length: number
  /** Captured head of them: may be shorter than `length` (limit), or empty (sendfile). */
  readonly payload: Uint8Array
  /** Thread group and thread that made the call, in the host's pid namespace. */
  readonly pid: number
  readonly tid: number
  /** Counts this socket's events from 0 (u32). A hole means that events were lost in between. */
  readonly ordinal: number
}

/** What a program gave to its TLS library (`send`) or got from it (`receive`) in one call, in the clear. */
export interface TlsDataEvent {
  readonly type: 'tls_data'
  /** When a send began, when a receive was over. */
  readonly timeNs: bigint
  /** Socket that the thread used within the call; 0: none, the library works on buffers in memory. */
  readonly cookie: bigint
  /** Stands for the connection in the library, within the process. */
  readonly session: bigint
  readonly direction: 'send' | 'receive'
  /** TCP sequence number of the first byte that the call moved on the socket; 0 where there is none. */
  readonly seq: number
  /** Bytes in the clear, and their captured head. */
  readonly length: number
  readonly payload: Uint8Array
  readonly pid: number
  readonly tid: number
}

export interface SocketCloseEvent {
  readonly type: 'socket_close'
  readonly timeNs: bigint
  readonly cookie: bigint
  /** Its next ordinal would have been this one. */
  readonly ordinal: number
}

/** One packet with payload at one interface, in one direction. Super-packets (GSO, GRO) come as one event. */
export interface PacketEvent {
  readonly type: 'packet'
  readonly timeNs: bigint
  readonly netns: number
  readonly interfaceIndex: number
  readonly direction: 'transmit' | 'receive'
  readonly transport: 'tcp' | 'udp'
  readonly source: Endpoint
  readonly destination: Endpoint
  readonly seq: number
  /** L4 payload bytes of the packet. */
  readonly length: number
  readonly payload: Uint8Array
  /** The packet around it, where it went through a tunnel here: all else is of the inner one. */
  readonly tunnel?: Tunnel
}

export interface Tunnel {
  readonly type: 'vxlan' | 'geneve' | 'gre' | 'ipip' | 'erspan'
  /** VNI, GRE key or ERSPAN session. */
  readonly id: number | undefined
  /** Addresses of the tunnel's ends, as in the outer packet. */
  readonly source: string
  readonly destination: string
}

/** What happened to a connection besides its bytes. */
export interface NetworkEvent {
  readonly type: 'network'
  /**
   * `connected`: by a client; `value` is how long it took (ns). `rtt`: the kernel's smoothed round-trip time has become
   * `value` (µs). `retransmit`: `length` bytes from `seq` on were sent again. `retransmit_syn`: a connect was. `reset_sent`,
   * `reset_received`: at a socket. `zero_window`: a packet at an interface says that its source has no room. `drop`: the
   * kernel dropped a packet, `length` bytes from `seq` on, in the function `place`, for `reason`
   * (enum skb_drop_reason without its prefix).
   */
  readonly kind:
    | 'connected'
    | 'rtt'
    | 'retransmit'
    | 'retransmit_syn'
    | 'reset_sent'
    | 'reset_received'
    | 'zero_window'
    | 'drop'
  readonly timeNs: bigint
  readonly transport: Transport
  /** 0: unknown. */
  readonly netns: number
  /** 0: none, or unknown. */
  readonly interfaceIndex: number
  /** The socket's own end, or the packet's source. */
  readonly source: Endpoint
  readonly destination: Endpoint
  readonly seq: number
  readonly length: number
  readonly value: bigint
  readonly reason: string
  readonly place: string
}

/** A connection of which one end is Fullspan itself: not traced; tells which process sends the spans that arrive on it. */
export interface OwnConnectionEvent {
  readonly type: 'own_connection'
  readonly timeNs: bigint
  /** The end that is not Fullspan. */
  readonly pid: number
  readonly netns: number
  readonly local: Endpoint
  readonly remote: Endpoint
}

/** Events that the kernel side or the probe had to drop since the last one, by reason (`ring_full`, `payload_fault`, …). */
export interface LossEvent {
  readonly type: 'loss'
  readonly timeNs: bigint
  readonly reasons: Readonly<Record<string, number>>
  /** Sum of events seen by the kernel side so far: seen = delivered + lost. */
  readonly seen: bigint
}

/** Capture was off from `fromNs` to `toNs` (the capturing process was restarted): connections may have missed anything. */
export interface GapEvent {
  readonly type: 'gap'
  readonly fromNs: bigint
  readonly toNs: bigint
}

/** What moved on a socket that is only counted (Advice `counts`), since the last one. */
export interface SocketCountsEvent {
  readonly type: 'socket_counts'
  readonly timeNs: bigint
  readonly cookie: bigint
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly events: number
}

/** Capture stepped down (or up again) to keep within its budget. */
export interface LevelEvent {
  readonly type: 'level'
  readonly timeNs: bigint
  /** 0: in full. */
  readonly level: number
  /** Bytes of each event at most. */
  readonly maxPayloadBytes: number
  /** Share of the connections that is captured: 0 to 1. */
  readonly share: number
  /** What was spent before. */
  readonly eventsPerSecond: number
  /** Of one processor: 0.1 is a tenth. */
  readonly cpu: number
}

/** What flow wants of a connection from now on; capture may not be able to. */
export interface Advice {
  readonly cookie: bigint
  /** `whole`: the head of every message. `heads`: the first bytes of each turn. `counts`: only how much moves. */
  readonly mode: 'whole' | 'heads' | 'counts'
}
