import type {
  CaptureEvent,
  Endpoint,
  InterfaceEvent,
  PacketEvent,
  ProcessEvent,
  SocketDataEvent,
  Transport,
} from '../../flow/events.ts'
import { toBytes } from './conversation.ts'

/** Builds capture events by hand. Time moves on by 1 µs with every event that has one. */
export interface Capture {
  readonly events: CaptureEvent[]
  host(more?: Partial<Extract<CaptureEvent, { type: 'host' }>>): void
  clock(more?: Partial<Extract<CaptureEvent, { type: 'clock' }>>): void
  process(pid: number, more?: Partial<ProcessEvent>): void
  interface(netns: number, index: number, more?: Partial<InterfaceEvent>): void
  /** One end of a connection; `send` and `receive` add a SocketDataEvent each and keep count of the numbers. */
  socket(options: SocketOptions): Socket
  /** Adds packets of one connection as an interface sees them. */
  wire(options: WireOptions): Wire
  add(event: CaptureEvent): void
  wait(ns: bigint): void
  now(): bigint
}

export interface SocketOptions {
  readonly cookie: bigint
  readonly local: string
  readonly remote: string
  readonly role?: SocketDataEvent['role']
  readonly isRoleInferred?: boolean
  readonly transport?: Transport
  readonly netns?: number
  readonly pid?: number
  readonly sendSeq?: number
  readonly receiveSeq?: number
}

export interface Socket {
  send(data: string | Uint8Array, more?: Partial<SocketDataEvent>): void
  receive(data: string | Uint8Array, more?: Partial<SocketDataEvent>): void
  close(): void
  /** So many events that never came. */
  loseEvents(count: number): void
}

export interface WireOptions {
  readonly netns: number
  readonly index: number
  readonly client: string
  readonly server: string
  /** Which way requests pass the interface. */
  readonly requestWay?: PacketEvent['direction']
  readonly transport?: 'tcp' | 'udp'
  readonly clientSeq?: number
  readonly serverSeq?: number
}

export interface Wire {
  request(data: string | Uint8Array, more?: Partial<PacketEvent>): void
  response(data: string | Uint8Array, more?: Partial<PacketEvent>): void
}

export const hostNetns = 4026531833

export function createCapture(): Capture {
  const events: CaptureEvent[] = []
  let nowNs = 1_000_000_000_000n
  const tick = (): bigint => (nowNs += 1000n)

  return {
    events,
    add: event => void events.push(event),
    wait: ns => void (nowNs += ns),
    now: () => nowNs,
    host: more => {
      events.push({
        type: 'host',
        bootId: 'b007'.repeat(8),
        hostId: '1d'.repeat(16),
        hostName: 'machine',
        kernelRelease: '6.18.0',
        netns: hostNetns,
        sysTier: '',
        netTier: '',
        ...more,
      })
    },
    clock: more => {
      const event = { type: 'clock', monotonicNs: tick(), realtimeNs: 0n, stepped: false, ...more } as const
      const realtimeNs = more?.realtimeNs ?? event.monotonicNs + 1_700_000_000_000_000_000n
      events.push({ ...event, realtimeNs })
    },
    process: (pid, more) => {
      const name = more?.name ?? 'app'
      events.push({
        type: 'process',
        pid,
        namespacePid: pid,
        startTimeNs: 5n,
        netns: hostNetns,
        name,
        executable: `/usr/bin/${name}`,
        commandLine: name,
        cgroup: '/',
        serviceName: '',
        ...more,
      })
    },
    interface: (netns, index, more) => {
      events.push({
        type: 'interface',
        netns,
        index,
        name: `if${index}`,
        kind: '',
        peerIndex: 0,
        peerNetns: 0,
        masterIndex: 0,
        addresses: [],
        ...more,
      })
    },
    socket: options => createSocket(options, events, tick),
    wire: options => createWire(options, events, tick),
  }
}

function createSocket(options: SocketOptions, events: CaptureEvent[], tick: () => bigint): Socket {
  const {
    cookie,
    transport = 'tcp',
    netns = hostNetns,
    role = 'client',
    isRoleInferred = false,
    pid = 1,
  } = options
  const next = { send: options.sendSeq ?? 1000, receive: options.receiveSeq ?? 5000 }
  let ordinal = 0
  const move = (
    direction: 'send' | 'receive',
    data: string | Uint8Array,
    more?: Partial<SocketDataEvent>,
  ): void => {
    const payload = toBytes(data)
    const event: SocketDataEvent = {
      type: 'socket_data',
      timeNs: tick(),
      cookie,
      netns,
      transport,
      local: endpoint(options.local),
      remote: endpoint(options.remote),
      role,
      isRoleInferred,
      direction,
      seq: transport === 'tcp' ? next[direction] : 0,
      length: payload.length,
      payload,
      pid,
      tid: pid,
      ordinal: ordinal++,
      ...more,
    }
    next[direction] = (event.seq + event.length) >>> 0
    events.push(event)
  }
  return {
    send: (data, more) => move('send', data, more),
    receive: (data, more) => move('receive', data, more),
    close: () => void events.push({ type: 'socket_close', timeNs: tick(), cookie, ordinal }),
    loseEvents: count => void (ordinal += count),
  }
}

function createWire(options: WireOptions, events: CaptureEvent[], tick: () => bigint): Wire {
  const { netns, index, requestWay = 'transmit', transport = 'tcp' } = options
  const next = { request: options.clientSeq ?? 1000, response: options.serverSeq ?? 5000 }
  const move = (
    kind: 'request' | 'response',
    data: string | Uint8Array,
    more?: Partial<PacketEvent>,
  ): void => {
    const payload = toBytes(data)
    const [source, destination] =
      kind === 'request' ? [options.client, options.server] : [options.server, options.client]
    const isTransmit = (requestWay === 'transmit') === (kind === 'request')
    const event: PacketEvent = {
      type: 'packet',
      timeNs: tick(),
      netns,
      interfaceIndex: index,
      direction: isTransmit ? 'transmit' : 'receive',
      transport,
      source: endpoint(source),
      destination: endpoint(destination),
      seq: transport === 'tcp' ? next[kind] : 0,
      length: payload.length,
      payload,
      ...more,
    }
    next[kind] = (event.seq + event.length) >>> 0
    events.push(event)
  }
  return {
    request: (data, more) => move('request', data, more),
    response: (data, more) => move('response', data, more),
  }
}

/** `10.0.0.1:80`, `[fd00::1]:80`, or the path of a Unix socket. */
export function endpoint(text: string): Endpoint {
  const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text)
  return match === null ? { address: text, port: 0 } : { address: match[1] ?? '', port: Number(match[2]) }
}
