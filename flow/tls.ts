import { names } from '../model/attribute-names.ts'
import type { Protocol } from '../protocols/protocol.ts'
import { contentType, createRecordReader } from '../protocols/tls/records.ts'
import type { RecordReader } from '../protocols/tls/records.ts'
import { createConversation } from './conversation.ts'
import type { Conversation, Direction, SeenExchange } from './conversation.ts'
import type { SocketDataEvent, TlsDataEvent } from './events.ts'
import { addToHash, hashToHex, startHash } from './hash.ts'
import { createBoundedMap, quietNs } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import type { SocketStream } from './sockets.ts'
import type { FlowStats } from './stats.ts'
import type { Threads } from './threads.ts'

/**
 * What programs hand to their TLS library becomes exchanges of the sockets that carry it. Where the library itself used the
 * socket the event says which. Where it works on buffers in memory (Node.js, Python's asyncio), the program sends right after a
 * write and reads right after it has received, on the same thread, and a record is as long as its plaintext and what encryption
 * adds: that is believed once two records agree.
 */
export interface Tls {
  /** Bytes of an encrypted socket, in order, before anything else is made of them. */
  encrypted(event: SocketDataEvent, stream: SocketStream, role: Role): void
  plain(event: TlsDataEvent): void
  /** What its handshake told, for spans of what is read in it. */
  describe(cookie: bigint, exchange: SeenExchange): void
  /** Exchanges of this socket are read in the clear. */
  isRead(cookie: bigint): boolean
  lose(cookie: bigint): void
  gap(): void
  close(cookie: bigint, atNs?: bigint): void
  /** Once a second or so of event time. */
  sweep(nowNs: bigint): void
  flush(): void
}

export interface Role {
  /** Whose bytes are sent, if that is sure. */
  readonly speakerOf0: 'client' | 'server' | undefined
  readonly isLate: boolean
}

export interface TlsOptions {
  readonly threads: Threads
  readonly limits: FlowLimits
  readonly stats: FlowStats
  readonly protocols: readonly Protocol[]
  readonly onExchange: (exchange: SeenExchange, stream: SocketStream) => void
}

/** A record of application data that went by on a socket. */
interface SeenRecord {
  readonly seq: number
  readonly length: number
  /** Its first bytes, header included. */
  readonly head: Uint8Array
  filled: number
}

interface Side {
  readonly reader: RecordReader
  readonly records: SeenRecord[]
  nextSeq: number | undefined
  /** Of the bytes in hand. */
  baseSeq: number
  /** A record that was read in part: how much of it is left, at most. */
  partly: { readonly record: SeenRecord; left: number; read: number } | undefined
}

interface Encrypted {
  readonly stream: SocketStream
  readonly role: Role
  readonly sides: readonly [Side, Side]
  conversation: Conversation | undefined
  facts: SeenExchange['attributes']
  /** What encryption adds to a record. */
  overhead: number | undefined
  session: string
  /** 2: it is believed that the session is this socket's. */
  evidence: number
  readonly held: Found[]
  lastNs: bigint
  isQuiet: boolean
}

/** Where a piece in the clear begins: a record, and how many bytes of it were read before. */
interface Place {
  readonly record: SeenRecord
  readonly read: number
}

interface Found {
  readonly event: TlsDataEvent
  readonly seq: number
  readonly hash: string
}

interface Thread {
  /** The socket on which it last received. */
  received: Encrypted | undefined
  /** What it encrypted into memory and has not sent yet. */
  readonly written: TlsDataEvent[]
}

const hashedBytes = 16
const maximumRecords = 128
const maximumWritten = 64
const maximumSessions = 20_000
const largestPlaintext = 16_384
const neededEvidence = 2
/** TLS 1.3; TLS 1.2 with AES-GCM or CCM, with ChaCha20 (RFC 8446 §5.2, RFC 5288 §3, RFC 7905 §2). */
const overheads = [17, 24, 16]
/** What is written is sent at once; later it is another's. */
const sendWithinNs = 1_000_000_000n

export function createTls(options: TlsOptions): Tls {
  const { threads, limits, stats } = options
  const protocols = options.protocols.filter(({ type }) => type !== 'tls')
  const sockets = createBoundedMap<bigint, Encrypted>(limits.maximumSockets, closeSocket)
  const sessions = createBoundedMap<string, Encrypted>(maximumSessions)
  const byThread = createBoundedMap<number, Thread>(limits.maximumThreads)

  function encrypted(event: SocketDataEvent, stream: SocketStream, role: Role): void {
    let socket = sockets.get(event.cookie)
    if (socket === undefined) {
      socket = openSocket(stream, role)
      sockets.set(event.cookie, socket)
    }
    const side = socket.sides[directionOf(event)]
    if (side.nextSeq !== undefined && side.nextSeq !== event.seq) side.reader.lose()
    side.nextSeq = (event.seq + event.length) >>> 0
    side.baseSeq = event.seq
    side.reader.push(event.payload, event.length)
    socket.lastNs = event.timeNs
    const thread = threadOf(event.tid)
    if (event.direction === 'receive') thread.received = socket
    else if (thread.written.length > 0) matchWritten(socket, thread, event.timeNs)
  }

  function threadOf(tid: number): Thread {
    let thread = byThread.get(tid)
    if (thread === undefined) {
      thread = { received: undefined, written: [] }
      byThread.set(tid, thread)
    }
    return thread
  }

  /** The records just sent are what was encrypted before, in this order. */
  function matchWritten(socket: Encrypted, thread: Thread, nowNs: bigint): void {
    const left: TlsDataEvent[] = []
    for (const event of thread.written.splice(0)) {
      const bound = sessions.get(sessionOf(event))
      const isItsOwn = bound === undefined ? !isBelieved(socket) : bound === socket
      const place = isItsOwn ? takePlace(socket, 0, event.length, isBelieved(bound)) : undefined
      if (place !== undefined) found(socket, event, place)
      else if (nowNs - event.timeNs < sendWithinNs) left.push(event)
      else stats.tlsUnmatched++
    }
    thread.written.push(...left)
  }

  function plain(event: TlsDataEvent): void {
    if (event.cookie !== 0n) {
      plainOnSocket(event)
      return
    }
    const bound = sessions.get(sessionOf(event))
    if (event.direction === 'send') {
      const { written } = threadOf(event.tid)
      if (written.length >= maximumWritten) {
        written.shift()
        stats.tlsUnmatched++
      }
      written.push({ ...event, payload: new Uint8Array(event.payload) })
      return
    }
    const candidate = bound ?? threadOf(event.tid).received
    const isOpen = candidate !== undefined && (bound !== undefined || candidate.evidence < neededEvidence)
    const place = isOpen ? takePlace(candidate, 1, event.length, isBelieved(bound)) : undefined
    if (place !== undefined) found(candidate!, event, place)
    else {
      stats.tlsUnmatched++
      if (bound !== undefined && !isBelieved(bound)) unbind(bound)
    }
  }

  /** The library used the socket itself: whatever was believed before, this is it. */
  function plainOnSocket(event: TlsDataEvent): void {
    const socket = sockets.get(event.cookie)
    if (socket === undefined) {
      stats.tlsUnmatched++
      return
    }
    bind(socket, sessionOf(event))
    socket.evidence = neededEvidence
    found(socket, event, takePlace(socket, directionOf(event), event.length, true))
  }

  function found(socket: Encrypted, event: TlsDataEvent, place: Place | undefined): void {
    bind(socket, sessionOf(event))
    const seq = place === undefined ? event.seq : (place.record.seq + place.read) >>> 0
    const hash = place === undefined || place.read > 0 ? '' : hashOf(place.record)
    const payload = new Uint8Array(event.payload)
    socket.evidence++
    socket.held.push({ event: { ...event, payload }, seq, hash })
    if (!isBelieved(socket)) return
    for (const each of socket.held.splice(0)) deliver(socket, each)
  }

  function isBelieved(socket: Encrypted | undefined): boolean {
    return socket !== undefined && socket.evidence >= neededEvidence
  }

  function bind(socket: Encrypted, session: string): void {
    if (socket.session === session && sessions.get(session) === socket) return
    unbind(socket)
    socket.session = session
    sessions.set(session, socket)
  }

  /** What was thought to be its own is nobody's. */
  function unbind(socket: Encrypted): void {
    if (sessions.get(socket.session) === socket) sessions.delete(socket.session)
    stats.tlsUnmatched += socket.held.splice(0).length
    socket.session = ''
    socket.evidence = 0
    socket.overhead = overheadOf(socket.facts)
  }

  function deliver(socket: Encrypted, { event, seq, hash }: Found): void {
    const direction = directionOf(event)
    const conversation = (socket.conversation ??= converse(socket))
    const thread = threads.touch(event.tid, socket.stream.cookie, socket.role.speakerOf0 === 'server')
    const { switches, serverSwitches } = thread
    if (event.timeNs - socket.lastNs > quietNs) conversation.quiet()
    socket.lastNs = event.timeNs
    socket.isQuiet = false
    conversation.push(
      direction,
      {
        timeNs: event.timeNs,
        seq,
        wireHash: hash,
        pid: event.pid,
        tid: event.tid,
        switches,
        serverSwitches,
        isTransmit: direction === 0,
      },
      event.payload,
      event.length,
    )
  }

  function converse(socket: Encrypted): Conversation {
    return createConversation({
      transport: 'tcp',
      protocols,
      ...socket.role,
      onExchange(exchange) {
        const { attributes } = exchange
        const scheme = attributes[names.urlScheme] === undefined ? {} : { [names.urlScheme]: 'https' }
        const all = { ...attributes, ...scheme, ...socket.facts, [names.tls]: 'plaintext' }
        options.onExchange({ ...exchange, attributes: all }, socket.stream)
      },
    })
  }

  /**
   * The record that holds so many bytes in the clear; those before it are tickets and the like. `isSure`: it is on this socket,
   * so that the oldest will do where none has the length that is due.
   */
  function takePlace(
    socket: Encrypted,
    direction: Direction,
    length: number,
    isSure: boolean,
  ): Place | undefined {
    const side = socket.sides[direction]
    if (side.partly !== undefined && length <= side.partly.left) {
      const { record, read } = side.partly
      side.partly.left -= length
      side.partly.read += length
      if (side.partly.left <= 0) side.partly = undefined
      return { record, read }
    }
    side.partly = undefined
    const first = Math.min(length, largestPlaintext)
    let at = side.records.findIndex(record => fits(socket, record.length - first))
    if (at === -1 && isSure) at = side.records.findIndex(record => record.length > first)
    const record = side.records[at]
    if (record === undefined) return undefined
    const rest = Math.ceil(length / largestPlaintext) - 1 // a long write fills several
    side.records.splice(0, at + 1 + rest)
    const added = record.length - first
    if (overheads.includes(added)) socket.overhead ??= added
    else if (direction === 1) {
      const left = added - (socket.overhead ?? Math.min(...overheads))
      if (left > 0) side.partly = { record, left, read: length }
    }
    return { record, read: 0 }
  }

  function fits(socket: Encrypted, added: number): boolean {
    return socket.overhead === undefined ? overheads.includes(added) : added === socket.overhead
  }

  function openSocket(stream: SocketStream, role: Role): Encrypted {
    return {
      stream,
      role,
      sides: [openSide(), openSide()],
      conversation: undefined,
      facts: {},
      overhead: undefined,
      session: '',
      evidence: 0,
      held: [],
      lastNs: 0n,
      isQuiet: false,
    }
  }

  function closeSocket(socket: Encrypted, atNs?: bigint): void {
    socket.conversation?.close(atNs)
    socket.conversation = undefined
    unbind(socket)
  }

  return {
    encrypted,
    plain,
    describe(cookie, { attributes }) {
      const socket = sockets.get(cookie)
      if (socket === undefined) return
      const facts = Object.entries(attributes).filter(([name]) => name.startsWith('tls.'))
      socket.facts = Object.fromEntries(facts)
      socket.overhead ??= overheadOf(socket.facts)
    },
    isRead: cookie => sockets.get(cookie)?.conversation?.state() === 'decoding',
    lose(cookie) {
      sockets.get(cookie)?.conversation?.lose()
    },
    gap() {
      for (const { conversation } of sockets.values()) conversation?.gap()
    },
    close(cookie, atNs) {
      const socket = sockets.get(cookie)
      if (socket === undefined) return
      closeSocket(socket, atNs)
      sockets.delete(cookie)
    },
    sweep(nowNs) {
      for (const socket of sockets.values()) {
        if (socket.isQuiet || nowNs - socket.lastNs <= quietNs) continue
        socket.isQuiet = true
        socket.conversation?.quiet()
      }
    },
    flush() {
      for (const socket of sockets.values()) closeSocket(socket)
    },
  }
}

function openSide(): Side {
  const records: SeenRecord[] = []
  let last: SeenRecord | undefined
  const reader = createRecordReader({
    begin({ type, minorVersion, length }, at) {
      last = undefined
      if (type !== contentType.applicationData) return
      last = { seq: (side.baseSeq + at) >>> 0, length, head: new Uint8Array(hashedBytes), filled: 5 }
      last.head.set([type, 3, minorVersion, length >> 8, length & 0xff])
      if (records.length >= maximumRecords) records.shift()
      records.push(last)
    },
    bytes(bytes) {
      if (last === undefined || last.filled >= hashedBytes) return
      const step = bytes.subarray(0, hashedBytes - last.filled)
      last.head.set(step, last.filled)
      last.filled += step.length
    },
    end() {
      last = undefined
    },
  })
  const side: Side = { reader, records, nextSeq: undefined, baseSeq: 0, partly: undefined }
  return side
}

/** undefined: the handshake was not seen, or the cipher adds more or less (CBC). */
function overheadOf(facts: SeenExchange['attributes']): number | undefined {
  if (facts[names.tlsProtocolVersion] === '1.3') return overheads[0]
  const cipher = String(facts[names.tlsCipher])
  return cipher.includes('_GCM_') ? overheads[1] : cipher.includes('_CHACHA20_') ? overheads[2] : undefined
}

function directionOf({ direction }: { readonly direction: 'send' | 'receive' }): Direction {
  return direction === 'send' ? 0 : 1
}

function sessionOf({ pid, session }: TlsDataEvent): string {
  return `${pid} ${session}`
}

function hashOf({ head, filled }: SeenRecord): string {
  if (filled < hashedBytes) return ''
  const hash = startHash()
  addToHash(hash, head, 0, hashedBytes)
  return hashToHex(hash)
}
