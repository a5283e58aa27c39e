import type { Decoder, Exchange, Protocol, Recorder, Speaker, Transport } from '../protocols/protocol.ts'
import { hashStart, openMessage, packetMark } from './message.ts'
import type { Mark, OpenMessage } from './message.ts'
import { createRecognition } from './recognition.ts'
import type { Recognition } from './recognition.ts'

/** The two directions of a connection, as its capture point tells them apart: 0 send or low to high, 1 the other. */
export type Direction = 0 | 1

/** An exchange as flow hands it on: both messages are the conversation's own. */
export interface SeenExchange extends Exchange {
  readonly protocol: string
  /** The direction in which the request went. */
  readonly requestDirection: Direction
  readonly request: OpenMessage
  readonly response: OpenMessage | undefined
  /** `gap`, `lost_events`, `late_join`, `no_response`, `truncated`. */
  readonly incomplete: readonly string[]
  readonly retransmissions: number
  /** When it was over: the response's last byte, or when nothing was awaited any more. */
  readonly endNs: bigint
}

export interface ConversationOptions {
  readonly transport: Transport
  readonly protocols: readonly Protocol[]
  /** Whose bytes direction 0 carries, where that is sure; else the protocol decides. */
  readonly speakerOf0: Speaker | undefined
  /** Bytes went by before it was followed: its first exchange may lack some. */
  readonly isLate: boolean
  readonly onExchange: (exchange: SeenExchange) => void
}

/** One connection at one capture point: bytes of both directions in, exchanges out. */
export interface Conversation {
  /** The next `length` bytes of a direction, of which the first `bytes.length` were captured. */
  push(direction: Direction, mark: Mark, bytes: Uint8Array, length: number): void
  /** Events were lost here: what is open may lack something. */
  lose(): void
  /** Capture was off for a while. */
  gap(): void
  /** Bytes were seen again. */
  retransmit(): void
  quiet(): void
  /** `atNs`: when it ended, if that was seen. */
  close(atNs?: bigint): void
  /** Whose bytes direction 0 carries; undefined until the protocol is recognised. */
  speakerOf0(): Speaker | undefined
  /** Every message that began has ended, and every request was answered. */
  isIdle(): boolean
  /** '' until it is recognised. */
  protocol(): string
  /** Requests were seen that did not wait for the answer to the one before. */
  isPipelined(): boolean
  /** `unknown`: no protocol of ours; its bytes are counted only. */
  state(): 'recognising' | 'decoding' | 'unknown'
}

const nothing: Uint8Array = new Uint8Array(0)

export function createConversation(options: ConversationOptions): Conversation {
  let recognition: Recognition | undefined = createRecognition(options)
  let decoder: Decoder | undefined
  let protocol = ''
  let speakerOf0: Speaker | undefined
  let lastSpeaker: Speaker | undefined
  const mishaps = { losses: 0, gaps: 0, retransmissions: 0 }
  let { isLate } = options
  let closedNs: bigint | undefined
  let isPipelined = false
  let requestsThisTurn = 0
  let requestsOpen = 0

  let mark: Mark = packetMark(0n, 0, false)
  let bytes = nothing
  let length = 0
  const open: Record<Speaker, OpenMessage | undefined> = { client: undefined, server: undefined }

  const recorder: Recorder = {
    begin(from, at) {
      const message = openMessage(from, mark, at, mishaps)
      if (from === 'client') requestsOpen++
      if (from === 'client' && ++requestsThisTurn > 1) isPipelined = true
      hashStart(message, bytes, at, length)
      message.lengthBytes = -at
      open[from] = message
      return message
    },
    end(message, at) {
      const ended = open[message.from]
      if (ended !== message) return
      ended.lengthBytes += at
      touch(ended)
      finish(ended)
    },
    endBefore(message) {
      const ended = open[message.from]
      if (ended === message) finish(ended)
    },
    exchange(exchange) {
      requestsOpen--
      options.onExchange(toSeen(exchange))
    },
    stop() {
      decoder = undefined
    },
  }

  function touch(message: OpenMessage): void {
    if (mark.timeNs > message.lastNs) message.lastNs = mark.timeNs // packets may come out of order
    message.lastTid = mark.tid
    message.lastSwitches = mark.switches
    message.lastServerSwitches = mark.serverSwitches
  }

  function finish(message: OpenMessage): void {
    message.hasEnded = true
    open[message.from] = undefined
  }

  function toSeen(exchange: Exchange): SeenExchange {
    const request = exchange.request as OpenMessage // our own: `begin` made it
    const response = exchange.response as OpenMessage | undefined
    const incomplete: string[] = []
    if (mishaps.gaps > request.before.gaps) incomplete.push('gap')
    if (mishaps.losses > request.before.losses) incomplete.push('lost_events')
    if (isLate) incomplete.push('late_join')
    isLate = false
    if (response === undefined) incomplete.push('no_response')
    if (exchange.isTruncated) incomplete.push('truncated')
    const retransmissions = mishaps.retransmissions - request.before.retransmissions
    const endNs = response?.lastNs ?? closedNs ?? request.lastNs
    const requestDirection = speakerOf0 === 'client' ? 0 : 1
    const { name, attributes, error, isTruncated } = exchange
    return {
      name,
      attributes,
      error,
      isTruncated,
      protocol,
      requestDirection,
      request,
      response,
      incomplete,
      retransmissions,
      endNs,
    }
  }

  /** Bytes go to the decoder with what is known of them in the variables above, which `recorder` reads. */
  function decode(direction: Direction, newMark: Mark, newBytes: Uint8Array, newLength: number): void {
    if (decoder === undefined) return
    const from = direction === 0 ? speakerOf0! : opposite(speakerOf0!)
    if (lastSpeaker !== undefined && lastSpeaker !== from) {
      requestsThisTurn = 0
      decoder.turn(from)
    }
    lastSpeaker = from
    mark = newMark
    bytes = newBytes
    length = newLength
    const before = open[from]
    if (before !== undefined) hashStart(before, bytes, 0, length)
    decoder.push(from, bytes, length)
    const after = open[from]
    if (after !== undefined) {
      after.lengthBytes += length
      touch(after)
    }
    bytes = nothing
  }

  function recognise(direction: Direction, newMark: Mark, newBytes: Uint8Array, newLength: number): void {
    const found = recognition?.push(direction, newMark, newBytes, newLength)
    if (found === 'more' || found === undefined) return
    recognition = undefined
    if (found === 'unknown') return
    protocol = found.protocol.type
    speakerOf0 = found.speakerOf0
    decoder = found.protocol.createDecoder(recorder, options.transport)
    for (const held of found.held) decode(held.direction, held.mark, held.bytes, held.length)
  }

  return {
    push(direction, newMark, newBytes, newLength) {
      if (decoder !== undefined) decode(direction, newMark, newBytes, newLength)
      else if (recognition !== undefined) recognise(direction, newMark, newBytes, newLength)
    },
    lose() {
      mishaps.losses++
    },
    gap() {
      mishaps.gaps++
    },
    retransmit() {
      mishaps.retransmissions++
    },
    quiet() {
      decoder?.quiet()
    },
    close(atNs) {
      closedNs = atNs
      decoder?.close()
      decoder = undefined
      recognition = undefined
    },
    speakerOf0: () => speakerOf0,
    isIdle: () => requestsOpen === 0 && open.client === undefined && open.server === undefined,
    protocol: () => protocol,
    isPipelined: () => isPipelined,
    state: () => (decoder !== undefined ? 'decoding' : recognition !== undefined ? 'recognising' : 'unknown'),
  }
}

function opposite(speaker: Speaker): Speaker {
  return speaker === 'client' ? 'server' : 'client'
}
