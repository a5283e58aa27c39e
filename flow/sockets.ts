import type { Protocol, Speaker } from '../protocols/protocol.ts'
import { createConversation } from './conversation.ts'
import type { Conversation, Direction, SeenExchange } from './conversation.ts'
import type {
  Advice,
  Endpoint,
  SocketCloseEvent,
  SocketCountsEvent,
  SocketDataEvent,
  TlsDataEvent,
  Transport,
} from './events.ts'
import type { Facts } from './facts.ts'
import { createBoundedMap, idleNs, quietNs } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import type { Mark, OpenMessage } from './message.ts'
import { names } from '../model/attribute-names.ts'
import type { ClockMap } from './clock-map.ts'
import type { FlowStats } from './stats.ts'
import { createRepeats, maximumRepeatedBytes, type Repeats } from './repeats.ts'
import type { FinishedSpan, SpanMaker } from './span-of-exchange.ts'
import type { Threads, ThreadState } from './threads.ts'
import { createTls, type Role } from './tls.ts'
import { handshakeName } from '../protocols/tls/decoder.ts'
import { isRecordStart } from '../protocols/tls/records.ts'

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
  readonly repeats: Repeats
  /** The last two events that were decoded: together perhaps an exchange that comes again. */
  /** It is encrypted: see tls.ts. */
  readonly isTls: boolean
  lately: readonly [SocketDataEvent | undefined, SocketDataEvent | undefined]
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
  /** What went by TLS, in the clear. */
  plain(event: TlsDataEvent): void
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
  /** Gives the span that it has become. */
  readonly onExchange: (exchange: SeenExchange, stream: SocketStream) => FinishedSpan | undefined
  /** `false`: every exchange is decoded. */
  readonly hasRepeats: boolean
  readonly spans: Pick<SpanMaker, 'templateOf' | 'isCurrent'>
  readonly clock: ClockMap
  /** A span that needed no decoding. */
  readonly onRepeat: (span: FinishedSpan) => void
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

  const tls = createTls(options)
  let advice: Advice[] = []

  /** From outside, an exchange that is read in the clear is not another one. */
  function takeExchange(exchange: SeenExchange, stream: Stream): FinishedSpan | undefined {
    if (exchange.protocol !== 'tls') return options.onExchange(exchange, stream)
    if (exchange.name === handshakeName) tls.describe(stream.cookie, exchange)
    else if (tls.isRead(stream.cookie)) return undefined
    return options.onExchange(exchange, stream)
  }

  /** One cookie may stand for many conversations by UDP: there is nothing to say then. */
  function advise(stream: Stream): void {
    const { conversation } = stream
    const state = conversation.state()
    if (stream.transport === 'udp' || stream.isTls || state === 'recognising') return
    const mode = state === 'unknown' ? 'counts' : conversation.isPipelined() ? 'whole' : 'heads'
    if (mode === stream.advised) return
    stream.advised = mode
    advice.push({ cookie: stream.cookie, mode })
  }

  /** In HTTP/1 the same bytes mean the same, and a connection that waits for a request remembers nothing. */
  function mayRepeat({ conversation, transport }: Stream): boolean {
    return transport === 'tcp' && conversation.protocol() === 'http1' && conversation.state() === 'decoding'
  }

  /** The next bytes of both directions are exactly those that are due, so nothing was lost or seen before. */
  function takeRepeat(stream: Stream, event: SocketDataEvent, thread: ThreadState): boolean {
    const direction: Direction = event.direction === 'send' ? 0 : 1
    if (event.length === 0 || event.seq !== stream.next[direction] || !mayRepeat(stream)) return false
    if (!stream.conversation.isIdle()) return false
    if (stream.repeats.push(event, direction, thread) === 'no') return false
    stream.next[direction] = (event.seq + event.length) >>> 0
    stats.eventsUsed++
    return true
  }

  /** A request that was taken for one that comes again, and is not answered as before. */
  function decodeHeld(stream: Stream): void {
    const held = stream.repeats.release()
    if (held === undefined) return
    const { event, thread } = held
    stream.next[event.direction === 'send' ? 0 : 1] = event.seq
    stats.eventsUsed-- // was counted when it was taken
    move(stream, event, thread)
  }

  /** A copy: to keep the event would keep the chunk in which it came. */
  function remember(stream: Stream, event: SocketDataEvent): void {
    if (!options.hasRepeats || !mayRepeat(stream)) return
    const isShort = event.payload.length <= maximumRepeatedBytes
    const copy = isShort ? { ...event, payload: new Uint8Array(event.payload) } : undefined
    stream.lately = [stream.lately[1], copy]
  }

  function learn(stream: Stream, exchange: SeenExchange, finished: FinishedSpan): void {
    const [before, last] = stream.lately
    if (before === undefined || last === undefined || !mayRepeat(stream)) return
    const { request, response, incomplete, requestDirection, retransmissions } = exchange
    const isWhole = incomplete.length === 0 && retransmissions === 0 && response !== undefined
    if (!isWhole || !isAll(before, request) || !isAll(last, response)) return
    const template = options.spans.templateOf(finished, exchange, stream)
    if (template === undefined) return
    const isInterleaved = finished.span.attribute(names.keyEventLoop) === true
    stream.repeats.learn({
      request: before,
      response: last,
      requestDirection,
      isInterleaved,
      template,
    })
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
    if (stream.isTls) tls.encrypted(event, stream, roleOf(event, hasLost))
    if (stream.conversation.state() === 'unknown') {
      stats.eventsIgnored.unknown_protocol++
      stats.unknownBytes += event.length
      advise(stream)
      return
    }
    if (event.timeNs - stream.lastNs > quietNs && stream.lastNs !== 0n) {
      decodeHeld(stream)
      stream.conversation.quiet()
    }
    stream.lastNs = event.timeNs
    stream.isQuiet = false
    if (takeRepeat(stream, event, thread)) return
    decodeHeld(stream)
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
    if (role === 'server' && local.port !== 0) facts.serves(event.pid, local.port)
    const stream: Stream = {
      cookie,
      netns,
      transport,
      local,
      remote,
      conversation: createConversation({
        transport,
        protocols: options.protocols,
        ...roleOf(event, hasLost),
        onExchange: exchange => {
          const finished = takeExchange(exchange, stream)
          if (finished !== undefined) learn(stream, exchange, finished)
        },
      }),
      repeats: createRepeats({
        offsetFor: (fromNs, toNs) =>
          options.clock.hasStepBetween(fromNs, toNs) ? undefined : options.clock.offsetAt(fromNs),
        threadNow: tid => threads.now(tid),
        isCurrent: options.spans.isCurrent,
        emit: options.onRepeat,
      }),
      isTls: transport === 'tcp' && isRecordStart(event.payload),
      lately: [undefined, undefined],
      next: [undefined, undefined],
      lastNs: 0n,
      isQuiet: false,
      advised: 'whole',
    }
    return stream
  }

  /** Hands the bytes on, with a hole before them where some went by unseen, without those that were seen already. */
  function move(stream: Stream, event: SocketDataEvent, thread: ThreadState): void {
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
    remember(stream, event)
    stream.conversation.push(direction, mark(seq), payload, length)
  }

  function loseAll(socket: Socket): void {
    for (const stream of socket.streams.values()) {
      decodeHeld(stream)
      stream.conversation.lose()
      if (stream.isTls) tls.lose(stream.cookie)
    }
  }

  function closeAll(socket: Socket, atNs?: bigint): void {
    for (const stream of socket.streams.values()) {
      decodeHeld(stream)
      stream.conversation.close(atNs)
      if (stream.isTls) tls.close(stream.cookie, atNs)
    }
    socket.streams.clear()
  }

  function sweepStreams(socket: Socket, nowNs: bigint): void {
    for (const [key, stream] of socket.streams) {
      const silence = nowNs - stream.lastNs
      if (silence > quietNs && !stream.isQuiet) {
        stream.isQuiet = true
        decodeHeld(stream)
        stream.conversation.quiet()
      }
      if (silence <= idleNs[stream.transport]) continue
      decodeHeld(stream)
      stream.conversation.close()
      if (stream.isTls) tls.close(stream.cookie)
      socket.streams.delete(key)
    }
  }

  return {
    push,
    plain: tls.plain,
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
      tls.gap()
      for (const socket of sockets.values()) {
        for (const stream of socket.streams.values()) {
          decodeHeld(stream)
          stream.conversation.gap()
          stream.advised = 'whole' // what captures now knows of nothing
        }
      }
    },
    sweep(nowNs) {
      tls.sweep(nowNs)
      for (const [cookie, socket] of sockets.entries()) {
        sweepStreams(socket, nowNs)
        if (nowNs - socket.lastNs > idleNs[socket.transport]) sockets.delete(cookie)
      }
    },
    flush() {
      for (const socket of sockets.values()) closeAll(socket)
      tls.flush()
    },
    get size() {
      return sockets.size
    },
  }
}

/** By UDP a message says itself who asks; and a role that ports suggested is worth less than the protocol's word. */
function roleOf({ transport, role, isRoleInferred, ordinal }: SocketDataEvent, hasLost: boolean): Role {
  const isSure = transport !== 'udp' && role !== 'unknown' && !isRoleInferred
  const speakerOf0: Speaker | undefined = isSure ? role : undefined
  return { speakerOf0, isLate: transport !== 'udp' && (ordinal > 0 || hasLost || !isSure) }
}

/** The event is the message: all of it, captured whole, and nothing else. */
function isAll(event: SocketDataEvent, message: OpenMessage): boolean {
  return (
    event.seq === message.seq &&
    event.length === message.lengthBytes &&
    event.payload.length === event.length &&
    event.timeNs === message.firstNs &&
    event.timeNs === message.lastNs
  )
}
