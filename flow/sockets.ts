import type { Protocol, Speaker } from '../protocols/protocol.ts'
import { createConversation } from './conversation.ts'
import type { Conversation, Direction, SeenExchange } from './conversation.ts'
import type {
  Advice,
  Endpoint,
  SocketCloseEvent,
  SocketCountsEvent,
  SocketDataEvent,
  Transport,
} from './events.ts'
import type { Facts } from './facts.ts'
import { createBoundedMap, idleNs, quietNs } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import type { Mark } from './message.ts'
import type { FlowStats } from './stats.ts'
import type { Threads } from './threads.ts'

/** One conversation of a socket: TCP and Unix sockets have one, a UDP socket one with each remote address. */
export interface SocketStream {
  readonly cookie: bigint
  readonly netns: number
  readonly transport: Transport
  readonly local: Endpoint
  readonly remote: Endpoint
}

interface Stream extends SocketStream {
  readonly conversation: Conversation
  /** Sequence number that is due in each direction; offset where the transport has none. */
  readonly next: [number | undefined, number | undefined]
  lastNs: bigint
  isQuiet: boolean
  /** What capture was asked for. */
  advised: Advice['mode']
}

interface Socket {
  readonly transport: Transport
  readonly streams: Map<string, Stream>
  nextOrdinal: number
  lastNs: bigint
}

/** SYS: what processes send and receive on sockets becomes exchanges. */
export interface Sockets {
  push(event: SocketDataEvent): void
  close(event: SocketCloseEvent): void
  count(event: SocketCountsEvent): void
  /** What is wanted of connections that was not said yet. */
  takeAdvice(): Advice[]
  gap(): void
  /** Once a second or so of event time. */
  sweep(nowNs: bigint): void
  flush(): void
  readonly size: number
}

export interface SocketsOptions {
  readonly facts: Facts
  readonly threads: Threads
  readonly limits: FlowLimits
  readonly stats: FlowStats
  readonly protocols: readonly Protocol[]
  readonly onExchange: (exchange: SeenExchange, stream: SocketStream) => void
}

/** Further than this is no loss: the numbers are another connection's or the event is broken. */
const farthestJump = 2 ** 28
const maximumStreamsPerSocket = 1024
const nothing = new Uint8Array(0)

export function createSockets(options: SocketsOptions): Sockets {
  const { facts, threads, limits, stats } = options
  const sockets = createBoundedMap<bigint, Socket>(limits.maximumSockets, socket => {
    stats.socketsEvicted++
    closeAll(socket)
  })

  let advice: Advice[] = []

  /** One cookie may stand for many conversations by UDP: there is nothing to say then. */
  function advise(stream: Stream): void {
    const { conversation } = stream
    const state = conversation.state()
    if (stream.transport === 'udp' || state === 'recognising') return
    const mode = state === 'unknown' ? 'counts' : conversation.isPipelined() ? 'whole' : 'heads'
    if (mode === stream.advised) return
    stream.advised = mode
    advice.push({ cookie: stream.cookie, mode })
  }

  function push(event: SocketDataEvent): void {
    const thread = threads.touch(event.tid, event.cookie, event.role === 'server')
    let socket = sockets.get(event.cookie)
    if (socket === undefined) {
      socket = { transport: event.transport, streams: new Map(), nextOrdinal: event.ordinal, lastNs: 0n }
      sockets.set(event.cookie, socket)
    }
    const hasLost = event.ordinal !== socket.nextOrdinal
    socket.nextOrdinal = (event.ordinal + 1) >>> 0
    socket.lastNs = event.timeNs
    const key = event.transport === 'udp' ? `${event.remote.address} ${event.remote.port}` : ''
    let stream = socket.streams.get(key)
    if (hasLost) loseAll(socket)
    if (stream === undefined || (hasLost && event.transport === 'unix')) {
      stream?.conversation.close() // where no number tells how much was lost, it begins anew
      stream = openStream(event, hasLost)
      addStream(socket, key, stream)
    }
    if (stream.conversation.state() === 'unknown') {
      stats.eventsIgnored.unknown_protocol++
      stats.unknownBytes += event.length
      advise(stream)
      return
    }
    if (event.timeNs - stream.lastNs > quietNs && stream.lastNs !== 0n) stream.conversation.quiet()
    stream.lastNs = event.timeNs
    stream.isQuiet = false
    move(stream, event, thread)
    advise(stream)
  }

  function addStream(socket: Socket, key: string, stream: Stream): void {
    if (socket.streams.size >= maximumStreamsPerSocket && !socket.streams.has(key)) {
      const [[oldestKey, oldest] = ['', undefined]] = socket.streams
      oldest?.conversation.close()
      socket.streams.delete(oldestKey)
    }
    socket.streams.set(key, stream)
  }

  function openStream(event: SocketDataEvent, hasLost: boolean): Stream {
    const { cookie, netns, transport, local, remote, role } = event
    facts.addSocket(netns, transport, local, remote)
    // by UDP a message says itself who asks; and a role that ports suggested is worth less than the protocol's word
    const isSure = transport !== 'udp' && role !== 'unknown' && !event.isRoleInferred
    const speakerOf0: Speaker | undefined = isSure ? role : undefined
    const isLate = transport !== 'udp' && (event.ordinal > 0 || hasLost || !isSure)
    const stream: Stream = {
      cookie,
      netns,
      transport,
      local,
      remote,
      conversation: createConversation({
        transport,
        protocols: options.protocols,
        speakerOf0,
        isLate,
        onExchange: exchange => options.onExchange(exchange, stream),
      }),
      next: [undefined, undefined],
      lastNs: 0n,
      isQuiet: false,
      advised: 'whole',
    }
    return stream
  }

  /** Hands the bytes on, with a hole before them where some went by unseen, without those that were seen already. */
  function move(
    stream: Stream,
    event: SocketDataEvent,
    thread: Pick<Mark, 'switches' | 'serverSwitches'>,
  ): void {
    const direction: Direction = event.direction === 'send' ? 0 : 1
    const due = stream.next[direction] ?? (event.transport === 'tcp' ? event.seq : 0)
    const jump = event.transport === 'tcp' ? (event.seq - due) | 0 : 0
    let seq = event.transport === 'tcp' ? event.seq : due
    let { payload, length } = event
    const mark = (at: number): Mark => ({
      timeNs: event.timeNs,
      seq: at,
      pid: event.pid,
      tid: event.tid,
      switches: thread.switches,
      serverSwitches: thread.serverSwitches,
      isTransmit: direction === 0,
    })
    if (jump < 0 && jump > -farthestJump) {
      if (-jump >= length) {
        stats.eventsIgnored.seen_before++
        return
      }
      payload = payload.subarray(-jump)
      length += jump
      seq = due
    } else if (jump > 0 && jump < farthestJump) {
      stream.conversation.push(direction, mark(due), nothing, jump)
    } else if (jump !== 0) {
      stream.conversation.lose()
    }
    stream.next[direction] = (seq + length) >>> 0
    stats.eventsUsed++
    stream.conversation.push(direction, mark(seq), payload, length)
  }

  function loseAll(socket: Socket): void {
    for (const stream of socket.streams.values()) stream.conversation.lose()
  }

  function closeAll(socket: Socket, atNs?: bigint): void {
    for (const stream of socket.streams.values()) stream.conversation.close(atNs)
    socket.streams.clear()
  }

  function sweepStreams(socket: Socket, nowNs: bigint): void {
    for (const [key, stream] of socket.streams) {
      const silence = nowNs - stream.lastNs
      if (silence > quietNs && !stream.isQuiet) {
        stream.isQuiet = true
        stream.conversation.quiet()
      }
      if (silence <= idleNs[stream.transport]) continue
      stream.conversation.close()
      socket.streams.delete(key)
    }
  }

  return {
    push,
    close(event) {
      const socket = sockets.get(event.cookie)
      if (socket === undefined) return
      if (event.ordinal !== socket.nextOrdinal) loseAll(socket)
      closeAll(socket, event.timeNs)
      sockets.delete(event.cookie)
    },
    count({ cookie, timeNs, sentBytes, receivedBytes }) {
      stats.unknownBytes += sentBytes + receivedBytes
      const socket = sockets.get(cookie)
      if (socket === undefined) return
      socket.lastNs = timeNs
      for (const stream of socket.streams.values()) stream.lastNs = timeNs
    },
    takeAdvice() {
      if (advice.length === 0) return advice
      const taken = advice
      advice = []
      return taken
    },
    gap() {
      for (const socket of sockets.values()) {
        for (const stream of socket.streams.values()) {
          stream.conversation.gap()
          stream.advised = 'whole' // what captures now knows of nothing
        }
      }
    },
    sweep(nowNs) {
      for (const [cookie, socket] of sockets.entries()) {
        sweepStreams(socket, nowNs)
        if (nowNs - socket.lastNs > idleNs[socket.transport]) sockets.delete(cookie)
      }
    },
    flush() {
      for (const socket of sockets.values()) closeAll(socket)
    },
    get size() {
      return sockets.size
    },
  }
}
