/**
 * Offsets in the probe's records, as bpf/probe.h lays them out; test/receivers/ebpf/records.test.ts compares every one with
 * the BTF of the built object. Names are the members' names there.
 */

export const protocolVersion = 1

/** No record is longer: the largest is socket data with MAX_PAYLOAD bytes. */
export const maxRecordBytes = 32_768

export const recordType = {
  host: 1,
  clock: 2,
  process: 3,
  process_exit: 4,
  interface: 5,
  interface_gone: 6,
  socket_data: 7,
  socket_close: 8,
  packet: 9,
  own_connection: 10,
  loss: 11,
  gap: 12,
  socket_name: 13,
  socket_counts: 14,
  level: 15,
  tunnel_packet: 20,
  network_event: 21,
  tls_data: 24,
  tick: 30,
} as const

/** In the order of `enum loss_reason`. `payload_fault` is not lost: its event was delivered, without the payload. */
export const lossReasons = [
  'ring_full',
  'packet_shed',
  'no_state',
  'packet_broken',
  'missed',
  'socket_full',
  'payload_fault',
  'budget',
  'packet_queue',
] as const

export const record = { size: 8, length: 0, type: 4, version: 6 } as const

export const hostRecord = {
  size: 40,
  boot_id: 8,
  netns: 24,
  host_id_length: 28,
  host_name_length: 30,
  kernel_release_length: 32,
  sys_tier_length: 34,
  net_tier_length: 36,
} as const

export const clockRecord = { size: 32, monotonic_ns: 8, realtime_ns: 16, stepped: 24 } as const

export const processRecord = {
  size: 40,
  start_time_ns: 8,
  pid: 16,
  namespace_pid: 20,
  netns: 24,
  name_length: 28,
  executable_length: 30,
  command_line_length: 32,
  cgroup_length: 34,
  service_name_length: 36,
} as const

export const processExitRecord = { size: 24, time_ns: 8, pid: 16 } as const

export const interfaceAddress = { size: 20, family: 0, address: 4 } as const

export const interfaceRecord = {
  size: 32,
  netns: 8,
  index: 12,
  peer_index: 16,
  peer_netns: 20,
  master_index: 24,
  address_count: 28,
  name_length: 30,
  kind_length: 31,
} as const

export const interfaceGoneRecord = { size: 16, netns: 8, index: 12 } as const

export const endpoints = {
  size: 40,
  local: 0,
  remote: 16,
  local_port: 32,
  remote_port: 34,
  family: 36,
  protocol: 37,
} as const

export const socketDataRecord = {
  size: 96,
  time_ns: 8,
  cookie: 16,
  ends: 24,
  netns: 64,
  pid: 68,
  tid: 72,
  ordinal: 76,
  seq: 80,
  moved: 84,
  role: 88,
  role_inferred: 89,
  direction: 90,
  payload_length: 92,
} as const

export const tlsDataRecord = {
  size: 56,
  time_ns: 8,
  cookie: 16,
  session: 24,
  pid: 32,
  tid: 36,
  seq: 40,
  moved: 44,
  direction: 48,
  payload_length: 52,
} as const

export const socketCloseRecord = { size: 32, time_ns: 8, cookie: 16, ordinal: 24 } as const

export const packetRecord = {
  size: 80,
  time_ns: 8,
  ends: 16,
  netns: 56,
  interface_index: 60,
  seq: 64,
  moved: 68,
  direction: 72,
  payload_length: 76,
} as const

export const ownConnectionRecord = { size: 64, time_ns: 8, ends: 16, pid: 56, netns: 60 } as const

/** Older recordings have fewer reasons, of 8 bytes each. */
export const lossRecord = { size: 96, time_ns: 8, seen: 16, lost: 24 } as const
export const shortestLossRecord = 80

export const tickRecord = { size: 16, time_ns: 8 } as const

export const gapRecord = { size: 24, from_ns: 8, to_ns: 16 } as const

export const socketNameRecord = {
  size: 240,
  cookie: 8,
  local_length: 16,
  remote_length: 17,
  local: 24,
  remote: 132,
} as const

export const socketCountsRecord = {
  size: 48,
  time_ns: 8,
  cookie: 16,
  sent: 24,
  received: 32,
  events: 40,
} as const

export const levelRecord = {
  size: 40,
  time_ns: 8,
  level: 16,
  payload: 20,
  share: 24,
  events_per_second: 28,
  cpu_permille: 32,
} as const

/** `enum mode`. */
export const mode = { whole: 0, heads: 1, counts: 2 } as const

/** What the reader asks for; `type` in its head is this. */
export const connectionCommandType = 1
export const connectionCommand = { size: 24, cookie: 8, mode: 16, allowance: 20 } as const

/** Of a tunnelled packet, behind its packetRecord. */
export const tunnel = { size: 40, local: 0, remote: 16, id: 32, type: 36, family: 37, has_id: 38 } as const
export const tunnelPacketRecord = { size: 120, packet: 0, tunnel: 80 } as const

/** `enum tunnel_type`, from 1 on. */
export const tunnelTypes = ['vxlan', 'geneve', 'gre', 'ipip', 'erspan'] as const

export const networkEventRecord = {
  size: 88,
  time_ns: 8,
  value: 16,
  ends: 24,
  netns: 64,
  interface_index: 68,
  seq: 72,
  length: 76,
  kind: 80,
  reason_length: 82,
  place_length: 83,
} as const

/** `enum network_kind`, from 1 on. */
export const networkKinds = [
  'connected',
  'rtt',
  'retransmit',
  'retransmit_syn',
  'reset_sent',
  'reset_received',
  'zero_window',
  'drop',
] as const
