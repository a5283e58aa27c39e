import type { CaptureEvent, Endpoint, PacketEvent, SocketDataEvent, Transport } from '../../flow/events.ts'
import { ipv4Text, ipv6Text } from './addresses.ts'
import { brokenStream } from './errors.ts'
import * as layout from './layout.ts'

export interface RecordDecoder {
  /**
   * Events of the records that are complete with this chunk. A payload is a view of the chunk, not a copy: who keeps it for
   * long keeps the chunk. Throws EBPF_BROKEN_STREAM; after that the decoder is of no more use.
   */
  push(chunk: Uint8Array): CaptureEvent[]
  /** The stream is over: throws EBPF_BROKEN_STREAM when it ends inside a record. */
  end(): void
  /** Records of a type that this version does not know. */
  readonly skipped: number
}

/** Turns the probe's bytes (docs/reference/probe-protocol.md), cut anywhere, into events. */
export const createRecordDecoder = (): RecordDecoder => {
  let rest: Buffer = Buffer.alloc(0)
  let skipped = 0
  const names = createSocketNames()
  return {
    get skipped() {
      return skipped
    },
    push(chunk) {
      const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      const bytes = rest.length === 0 ? view : Buffer.concat([rest, view])
      const events: CaptureEvent[] = []
      let at = 0
      while (bytes.length - at >= layout.record.size) {
        const length = readLength(bytes, at)
        if (bytes.length - at < length) break
        const record = bytes.subarray(at, at + length)
        if (isSocketName(record)) names.add(record)
        else {
          const event = decodeRecord(record)
          if (event) events.push(event.type === 'socket_data' ? names.complete(event) : event)
          else skipped++
        }
        at += length
      }
      rest = bytes.subarray(at)
      return events
    },
    end() {
      if (rest.length > 0)
        throw brokenStream(`the stream ends inside a record (${rest.length} bytes of it are there)`)
    },
  }
}

const readLength = (bytes: Buffer, at: number): number => {
  const version = bytes.readUInt16LE(at + layout.record.version)
  if (version !== layout.protocolVersion) {
    throw brokenStream(`the probe speaks version ${version} of its protocol, not ${layout.protocolVersion}`)
  }
  const length = bytes.readUInt32LE(at + layout.record.length)
  if (length < layout.record.size || length > layout.maxRecordBytes)
    throw brokenStream(`a record of ${length} bytes`)
  return length
}

/** Paths of Unix sockets, told once and ahead of their data. */
interface SocketNames {
  add(record: Buffer): void
  complete(event: SocketDataEvent): SocketDataEvent
}

const maxSocketNames = 16_384

const createSocketNames = (): SocketNames => {
  const known = new Map<bigint, { readonly local: Endpoint; readonly remote: Endpoint }>()
  return {
    add(record) {
      const at = layout.socketNameRecord
      const [oldest] = known.keys()
      if (known.size >= maxSocketNames && oldest !== undefined) known.delete(oldest)
      known.set(record.readBigUInt64LE(at.cookie), {
        local: { address: unixPath(record, at.local, record[at.local_length]!), port: 0 },
        remote: { address: unixPath(record, at.remote, record[at.remote_length]!), port: 0 },
      })
    },
    complete: event => (event.transport === 'unix' ? { ...event, ...known.get(event.cookie) } : event),
  }
}

/** A path may be ended by a zero byte; a name that begins with one is in no file system, and is written with `@`. */
const unixPath = (bytes: Buffer, at: number, length: number): string => {
  const name = bytes.toString('utf8', at, at + Math.min(length, 108))
  return name.startsWith('\0') ? `@${name.slice(1)}` : (name.split('\0')[0] ?? '')
}

const isSocketName = (bytes: Buffer): boolean => {
  if (bytes.readUInt16LE(layout.record.type) !== layout.recordType.socket_name) return false
  if (bytes.length < layout.socketNameRecord.size)
    throw brokenStream(`a socket's name of only ${bytes.length} bytes`)
  return true
}

type Decode = (bytes: Buffer) => CaptureEvent

const decodeRecord = (bytes: Buffer): CaptureEvent | undefined => {
  const type = bytes.readUInt16LE(layout.record.type)
  const entry = decoders.get(type)
  if (!entry) return undefined
  if (bytes.length < entry.size)
    throw brokenStream(`a record of type ${type} with only ${bytes.length} bytes`)
  return entry.decode(bytes)
}

const decodeHost: Decode = bytes => {
  const at = layout.hostRecord
  const texts = readTexts(bytes, at.size, [
    bytes.readUInt16LE(at.host_id_length),
    bytes.readUInt16LE(at.host_name_length),
    bytes.readUInt16LE(at.kernel_release_length),
    bytes.readUInt16LE(at.sys_tier_length),
    bytes.readUInt16LE(at.net_tier_length),
  ])
  return {
    type: 'host',
    bootId: bytes.toString('hex', at.boot_id, at.boot_id + 16),
    hostId: texts[0]!,
    hostName: texts[1]!,
    kernelRelease: texts[2]!,
    netns: bytes.readUInt32LE(at.netns),
    sysTier: texts[3]!,
    netTier: texts[4]!,
  }
}

const decodeClock: Decode = bytes => ({
  type: 'clock',
  monotonicNs: bytes.readBigUInt64LE(layout.clockRecord.monotonic_ns),
  realtimeNs: bytes.readBigUInt64LE(layout.clockRecord.realtime_ns),
  stepped: bytes.readUInt32LE(layout.clockRecord.stepped) !== 0,
})

const decodeProcess: Decode = bytes => {
  const at = layout.processRecord
  const texts = readTexts(bytes, at.size, [
    bytes.readUInt16LE(at.name_length),
    bytes.readUInt16LE(at.executable_length),
    bytes.readUInt16LE(at.command_line_length),
    bytes.readUInt16LE(at.cgroup_length),
    bytes.readUInt16LE(at.service_name_length),
  ])
  return {
    type: 'process',
    pid: bytes.readUInt32LE(at.pid),
    namespacePid: bytes.readUInt32LE(at.namespace_pid),
    startTimeNs: bytes.readBigUInt64LE(at.start_time_ns),
    netns: bytes.readUInt32LE(at.netns),
    name: texts[0]!,
    executable: texts[1]!,
    commandLine: texts[2]!,
    cgroup: texts[3]!,
    serviceName: texts[4]!,
  }
}

const decodeProcessExit: Decode = bytes => ({
  type: 'process_exit',
  pid: bytes.readUInt32LE(layout.processExitRecord.pid),
  timeNs: bytes.readBigUInt64LE(layout.processExitRecord.time_ns),
})

const decodeInterface: Decode = bytes => {
  const at = layout.interfaceRecord
  const count = bytes.readUInt16LE(at.address_count)
  const textAt = at.size + count * layout.interfaceAddress.size
  const [name, kind] = readTexts(bytes, textAt, [bytes[at.name_length]!, bytes[at.kind_length]!])
  const addresses: string[] = []
  for (let each = at.size; each < textAt; each += layout.interfaceAddress.size) {
    addresses.push(readAddress(bytes, each + layout.interfaceAddress.address, bytes[each]!))
  }
  return {
    type: 'interface',
    netns: bytes.readUInt32LE(at.netns),
    index: bytes.readUInt32LE(at.index),
    name: name!,
    kind: kind!,
    peerIndex: bytes.readUInt32LE(at.peer_index),
    peerNetns: bytes.readUInt32LE(at.peer_netns),
    masterIndex: bytes.readUInt32LE(at.master_index),
    addresses,
  }
}

const decodeInterfaceGone: Decode = bytes => ({
  type: 'interface_gone',
  netns: bytes.readUInt32LE(layout.interfaceGoneRecord.netns),
  index: bytes.readUInt32LE(layout.interfaceGoneRecord.index),
})

const decodeSocketData: Decode = bytes => {
  const at = layout.socketDataRecord
  return {
    type: 'socket_data',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    cookie: bytes.readBigUInt64LE(at.cookie),
    netns: bytes.readUInt32LE(at.netns),
    transport: readSocketTransport(bytes, at.ends),
    local: readLocal(bytes, at.ends),
    remote: readRemote(bytes, at.ends),
    role: roles[bytes[at.role]!] ?? 'unknown',
    isRoleInferred: bytes[at.role_inferred] !== 0,
    direction: bytes[at.direction] === 0 ? 'send' : 'receive',
    seq: bytes.readUInt32LE(at.seq),
    length: bytes.readUInt32LE(at.moved),
    payload: readPayload(bytes, at.size, bytes.readUInt32LE(at.payload_length)),
    pid: bytes.readUInt32LE(at.pid),
    tid: bytes.readUInt32LE(at.tid),
    ordinal: bytes.readUInt32LE(at.ordinal),
  }
}

const decodeTlsData: Decode = bytes => {
  const at = layout.tlsDataRecord
  return {
    type: 'tls_data',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    cookie: bytes.readBigUInt64LE(at.cookie),
    session: bytes.readBigUInt64LE(at.session),
    pid: bytes.readUInt32LE(at.pid),
    tid: bytes.readUInt32LE(at.tid),
    seq: bytes.readUInt32LE(at.seq),
    length: bytes.readUInt32LE(at.moved),
    direction: bytes[at.direction] === 0 ? 'send' : 'receive',
    payload: readPayload(bytes, at.size, bytes.readUInt32LE(at.payload_length)),
  }
}

const decodeSocketClose: Decode = bytes => ({
  type: 'socket_close',
  timeNs: bytes.readBigUInt64LE(layout.socketCloseRecord.time_ns),
  cookie: bytes.readBigUInt64LE(layout.socketCloseRecord.cookie),
  ordinal: bytes.readUInt32LE(layout.socketCloseRecord.ordinal),
})

const readPacket = (bytes: Buffer, payloadAt: number): PacketEvent => {
  const at = layout.packetRecord
  return {
    type: 'packet',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    netns: bytes.readUInt32LE(at.netns),
    interfaceIndex: bytes.readUInt32LE(at.interface_index),
    direction: bytes[at.direction] === 0 ? 'transmit' : 'receive',
    transport: readTransport(bytes, at.ends),
    source: readLocal(bytes, at.ends),
    destination: readRemote(bytes, at.ends),
    seq: bytes.readUInt32LE(at.seq),
    length: bytes.readUInt32LE(at.moved),
    payload: readPayload(bytes, payloadAt, bytes.readUInt32LE(at.payload_length)),
  }
}

const decodePacket: Decode = bytes => readPacket(bytes, layout.packetRecord.size)

const decodeTunnelPacket: Decode = bytes => {
  const packet = readPacket(bytes, layout.tunnelPacketRecord.size)
  const tunnel = bytes.subarray(layout.tunnelPacketRecord.tunnel, layout.tunnelPacketRecord.size)
  const at = layout.tunnel
  const type = layout.tunnelTypes[tunnel[at.type]! - 1]
  if (type === undefined) throw brokenStream(`a packet in a tunnel of type ${tunnel[at.type]!}`)
  const family = tunnel[at.family]!
  return {
    ...packet,
    tunnel: {
      type,
      id: tunnel[at.has_id] === 0 ? undefined : tunnel.readUInt32LE(at.id),
      source: readAddress(tunnel, at.local, family),
      destination: readAddress(tunnel, at.remote, family),
    },
  }
}

const decodeNetworkEvent: Decode = bytes => {
  const at = layout.networkEventRecord
  const kind = layout.networkKinds[bytes.readUInt16LE(at.kind) - 1]
  if (kind === undefined) throw brokenStream(`a network event of kind ${bytes.readUInt16LE(at.kind)}`)
  const [reason, place] = readTexts(bytes, at.size, [bytes[at.reason_length]!, bytes[at.place_length]!])
  return {
    type: 'network',
    kind,
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    transport: readTransport(bytes, at.ends),
    netns: bytes.readUInt32LE(at.netns),
    interfaceIndex: bytes.readUInt32LE(at.interface_index),
    source: readLocal(bytes, at.ends),
    destination: readRemote(bytes, at.ends),
    seq: bytes.readUInt32LE(at.seq),
    length: bytes.readUInt32LE(at.length),
    value: bytes.readBigUInt64LE(at.value),
    reason: reason!,
    place: place!,
  }
}

const decodeOwnConnection: Decode = bytes => {
  const at = layout.ownConnectionRecord
  return {
    type: 'own_connection',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    pid: bytes.readUInt32LE(at.pid),
    netns: bytes.readUInt32LE(at.netns),
    local: readLocal(bytes, at.ends),
    remote: readRemote(bytes, at.ends),
  }
}

const decodeLoss: Decode = bytes => {
  const at = layout.lossRecord
  const reasons: Record<string, number> = {}
  const count = Math.floor((bytes.length - at.lost) / 8)
  for (const [index, reason] of layout.lossReasons.slice(0, count).entries()) {
    const count = Number(bytes.readBigUInt64LE(at.lost + 8 * index))
    if (count > 0) reasons[reason] = count
  }
  return {
    type: 'loss',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    reasons,
    seen: bytes.readBigUInt64LE(at.seen),
  }
}

const decodeGap: Decode = bytes => ({
  type: 'gap',
  fromNs: bytes.readBigUInt64LE(layout.gapRecord.from_ns),
  toNs: bytes.readBigUInt64LE(layout.gapRecord.to_ns),
})

const decodeTick: Decode = bytes => ({
  type: 'tick',
  timeNs: bytes.readBigUInt64LE(layout.tickRecord.time_ns),
})

const decodeSocketCounts: Decode = bytes => {
  const at = layout.socketCountsRecord
  return {
    type: 'socket_counts',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    cookie: bytes.readBigUInt64LE(at.cookie),
    sentBytes: Number(bytes.readBigUInt64LE(at.sent)),
    receivedBytes: Number(bytes.readBigUInt64LE(at.received)),
    events: bytes.readUInt32LE(at.events),
  }
}

const decodeLevel: Decode = bytes => {
  const at = layout.levelRecord
  return {
    type: 'level',
    timeNs: bytes.readBigUInt64LE(at.time_ns),
    level: bytes.readUInt32LE(at.level),
    maxPayloadBytes: bytes.readUInt32LE(at.payload),
    share: bytes.readUInt32LE(at.share) / 65_536,
    eventsPerSecond: bytes.readUInt32LE(at.events_per_second),
    cpu: bytes.readUInt32LE(at.cpu_permille) / 1000,
  }
}

const decoders = new Map<number, { readonly size: number; readonly decode: Decode }>([
  [layout.recordType.host, { size: layout.hostRecord.size, decode: decodeHost }],
  [layout.recordType.clock, { size: layout.clockRecord.size, decode: decodeClock }],
  [layout.recordType.process, { size: layout.processRecord.size, decode: decodeProcess }],
  [layout.recordType.process_exit, { size: layout.processExitRecord.size, decode: decodeProcessExit }],
  [layout.recordType.interface, { size: layout.interfaceRecord.size, decode: decodeInterface }],
  [layout.recordType.interface_gone, { size: layout.interfaceGoneRecord.size, decode: decodeInterfaceGone }],
  [layout.recordType.socket_data, { size: layout.socketDataRecord.size, decode: decodeSocketData }],
  [layout.recordType.tls_data, { size: layout.tlsDataRecord.size, decode: decodeTlsData }],
  [layout.recordType.socket_close, { size: layout.socketCloseRecord.size, decode: decodeSocketClose }],
  [layout.recordType.packet, { size: layout.packetRecord.size, decode: decodePacket }],
  [layout.recordType.tunnel_packet, { size: layout.tunnelPacketRecord.size, decode: decodeTunnelPacket }],
  [layout.recordType.network_event, { size: layout.networkEventRecord.size, decode: decodeNetworkEvent }],
  [layout.recordType.own_connection, { size: layout.ownConnectionRecord.size, decode: decodeOwnConnection }],
  [layout.recordType.loss, { size: layout.shortestLossRecord, decode: decodeLoss }],
  [layout.recordType.socket_counts, { size: layout.socketCountsRecord.size, decode: decodeSocketCounts }],
  [layout.recordType.level, { size: layout.levelRecord.size, decode: decodeLevel }],
  [layout.recordType.tick, { size: layout.tickRecord.size, decode: decodeTick }],
  [layout.recordType.gap, { size: layout.gapRecord.size, decode: decodeGap }],
])

const roles: readonly ('unknown' | 'client' | 'server')[] = ['unknown', 'client', 'server']

const readTransport = (bytes: Buffer, ends: number): 'tcp' | 'udp' =>
  bytes[ends + layout.endpoints.protocol] === 17 ? 'udp' : 'tcp'

const readSocketTransport = (bytes: Buffer, ends: number): Transport =>
  bytes[ends + layout.endpoints.family] === 1 ? 'unix' : readTransport(bytes, ends)

const readLocal = (bytes: Buffer, ends: number): Endpoint => ({
  address: readAddress(bytes, ends + layout.endpoints.local, bytes[ends + layout.endpoints.family]!),
  port: bytes.readUInt16LE(ends + layout.endpoints.local_port),
})

const readRemote = (bytes: Buffer, ends: number): Endpoint => ({
  address: readAddress(bytes, ends + layout.endpoints.remote, bytes[ends + layout.endpoints.family]!),
  port: bytes.readUInt16LE(ends + layout.endpoints.remote_port),
})

/** A machine talks to few addresses: their texts are kept. */
const ipv4Texts = new Map<number, string>()
const maxIpv4Texts = 65_536

const readAddress = (bytes: Buffer, at: number, family: number): string => {
  if (family === 1) return ''
  if (family !== 4) return ipv6Text(bytes, at)
  const number = bytes.readUInt32LE(at)
  const known = ipv4Texts.get(number)
  if (known !== undefined) return known
  if (ipv4Texts.size >= maxIpv4Texts) ipv4Texts.clear()
  const text = ipv4Text(bytes, at)
  ipv4Texts.set(number, text)
  return text
}

const readPayload = (bytes: Buffer, at: number, length: number): Uint8Array => {
  if (at + length !== bytes.length)
    throw brokenStream(`a payload of ${length} bytes in a record of ${bytes.length}`)
  return bytes.subarray(at)
}

const readTexts = (bytes: Buffer, start: number, lengths: readonly number[]): string[] => {
  let at = start
  const texts = lengths.map(length => {
    const text = bytes.toString('utf8', at, at + length)
    at += length
    return text
  })
  if (at !== bytes.length) throw brokenStream(`texts of ${at - start} bytes in a record of ${bytes.length}`)
  return texts
}
