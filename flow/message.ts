import type { Message, Speaker } from '../protocols/protocol.ts'
import { addToHash, hashToHex, startHash } from './hash.ts'
import type { RunningHash } from './hash.ts'

/** Where the bytes in hand were seen: by which call or in which packet. */
export interface Mark {
  readonly timeNs: bigint
  /** Of the first byte in hand. */
  readonly seq: number
  readonly pid: number
  readonly tid: number
  /** Of the thread, see threads.ts; 0 where packets were seen. */
  readonly switches: number
  readonly serverSwitches: number
  /** Bytes in hand are those in the clear of a TLS record, at whose first byte `seq` is: hash of the record's first 16 bytes, or ''. */
  readonly wireHash?: string
  /** `transmit`: packets that went out by the interface. */
  readonly isTransmit: boolean
}

/** A mark of packets: no thread moved them. */
export function packetMark(timeNs: bigint, seq: number, isTransmit: boolean): Mark {
  return { timeNs, seq, isTransmit, pid: 0, tid: 0, switches: 0, serverSwitches: 0 }
}

/** What happened to a conversation so far, by number. What grows while a message is under way has touched it. */
export interface Mishaps {
  readonly losses: number
  readonly gaps: number
  readonly retransmissions: number
}

const hashedBytes = 16

/** A message while it is being seen. */
export interface OpenMessage extends Message {
  lastNs: bigint
  lastTid: number
  lengthBytes: number
  readonly switches: number
  readonly serverSwitches: number
  lastSwitches: number
  lastServerSwitches: number
  readonly isTransmit: boolean
  readonly before: Mishaps
  hasEnded: boolean
  hash: RunningHash
  /** -1: a hole within the first 16 bytes. */
  hashed: number
  /** Of the TLS record that it began; '' where it began within one. */
  readonly wireHash: string | undefined
}

export function openMessage(from: Speaker, mark: Mark, at: number, mishaps: Mishaps): OpenMessage {
  return {
    from,
    firstNs: mark.timeNs,
    seq: (mark.seq + at) >>> 0,
    pid: mark.pid,
    tid: mark.tid,
    switches: mark.switches,
    serverSwitches: mark.serverSwitches,
    isTransmit: mark.isTransmit,
    lastNs: mark.timeNs,
    lastTid: mark.tid,
    lastSwitches: mark.switches,
    lastServerSwitches: mark.serverSwitches,
    lengthBytes: 0,
    before: { ...mishaps },
    hasEnded: false,
    hash: startHash(),
    hashed: 0,
    wireHash: mark.wireHash === undefined || at === 0 ? mark.wireHash : '',
  }
}

/** Takes the bytes in hand, from `at` on, into the hash of the message's first 16 bytes. */
export function hashStart(message: OpenMessage, bytes: Uint8Array, at: number, length: number): void {
  if (message.hashed === -1 || message.hashed >= hashedBytes) return
  if (at < 0) message.hashed = -1 // it began with bytes that are gone
  if (at < 0) return
  const to = Math.min(bytes.length, at + hashedBytes - message.hashed)
  if (to > at) {
    addToHash(message.hash, bytes, at, to)
    message.hashed += to - at
  }
  if (message.hashed < hashedBytes && bytes.length < length) message.hashed = -1
}

/** 16 hex digits, or '' when the message is shorter than 16 bytes or they were not all captured. */
export function startHashOf(message: OpenMessage): string {
  if (message.wireHash !== undefined) return message.wireHash
  return message.hashed === hashedBytes && message.lengthBytes >= hashedBytes ? hashToHex(message.hash) : ''
}
