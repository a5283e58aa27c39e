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
  /** State of the thread for `isThreadShared`; 0 where packets were seen. */
  readonly threadSwitches: number
}

const hashedBytes = 16

/** A message while it is being seen. */
export interface OpenMessage extends Message {
  lastNs: bigint
  lastTid: number
  lengthBytes: number
  readonly threadSwitches: number
  lastThreadSwitches: number
  /** How many losses and gaps the conversation had known before: more of them later touched this message. */
  readonly lossesBefore: number
  readonly gapsBefore: number
  hasEnded: boolean
  hash: RunningHash
  /** -1: a hole within the first 16 bytes. */
  hashed: number
}

export function openMessage(
  from: Speaker,
  mark: Mark,
  at: number,
  known: { readonly losses: number; readonly gaps: number },
): OpenMessage {
  return {
    from,
    firstNs: mark.timeNs,
    seq: (mark.seq + at) >>> 0,
    pid: mark.pid,
    tid: mark.tid,
    threadSwitches: mark.threadSwitches,
    lastNs: mark.timeNs,
    lastTid: mark.tid,
    lastThreadSwitches: mark.threadSwitches,
    lengthBytes: 0,
    lossesBefore: known.losses,
    gapsBefore: known.gaps,
    hasEnded: false,
    hash: startHash(),
    hashed: 0,
  }
}

/** Takes the bytes in hand, from `at` on, into the hash of the message's first 16 bytes. */
export function hashStart(message: OpenMessage, bytes: Uint8Array, at: number, length: number): void {
  if (message.hashed === -1 || message.hashed >= hashedBytes) return
  const to = Math.min(bytes.length, at + hashedBytes - message.hashed)
  if (to > at) {
    addToHash(message.hash, bytes, at, to)
    message.hashed += to - at
  }
  if (message.hashed < hashedBytes && bytes.length < length) message.hashed = -1
}

/** 16 hex digits, or '' when the message is shorter than 16 bytes or they were not all captured. */
export function startHashOf(message: OpenMessage): string {
  return message.hashed === hashedBytes && message.lengthBytes >= hashedBytes ? hashToHex(message.hash) : ''
}
