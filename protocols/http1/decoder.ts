import type { Decoder, Message, Recorder, Speaker } from '../protocol.ts'
import { createBody } from './body.ts'
import type { Body, Framing } from './body.ts'
import { toExchange } from './exchange.ts'
import { createHeadCollector } from './head-collector.ts'
import type { HeadCollector } from './head-collector.ts'
import { parseHead } from './head.ts'
import type { Head } from './head.ts'

/** Requests that wait for their response on one connection; those of a longer pipeline are passed over, not mispaired. */
const maximumPending = 256

interface Side {
  readonly from: Speaker
  /** `lost`: waits for this end's next turn. */
  mode: 'idle' | 'head' | 'body' | 'lost'
  message: Message | undefined
  readonly head: HeadCollector
  readonly body: Body
}

interface Part {
  readonly message: Message
  readonly head: Head
  readonly isTruncated: boolean
}

export function createDecoder(recorder: Recorder): Decoder {
  const client = createSide('client')
  const server = createSide('server')
  const pending: Part[] = []
  let passedOver = 0
  let response: Part | undefined
  /** Bytes of unknown content went by: a waiting request may have had its response among them. */
  let isPairingUnsure = false
  let isStopped = false

  function push(from: Speaker, bytes: Uint8Array, length: number): void {
    const side = from === 'client' ? client : server
    let at = 0
    while (at < length && !isStopped) {
      if (side.mode === 'body') {
        const end = side.body.feed(bytes, length, at)
        if (end === -1) break
        at = end
        endMessage(side, at)
      } else if (at >= bytes.length) {
        loseTrack(side)
        break
      } else if (side.mode === 'head') {
        const end = side.head.feed(bytes, at)
        at = end === -1 ? bytes.length : end
        if (end !== -1) endHead(side, at, side.head.isCut())
      } else if (side.mode === 'idle') {
        at = startMessage(side, bytes, at)
      } else {
        break
      }
    }
  }

  /** Empty lines between messages are allowed (RFC 9112 §2.2). */
  function startMessage(side: Side, bytes: Uint8Array, from: number): number {
    let at = from
    while (bytes[at] === 13 || bytes[at] === 10) at++
    if (at === bytes.length) return at
    if (!isStart(side.from, bytes, at)) {
      side.mode = 'lost'
      isPairingUnsure = true
      return bytes.length
    }
    if (side === client && isPairingUnsure) giveUpPending()
    side.message = recorder.begin(side.from, at)
    side.mode = 'head'
    side.head.reset()
    return at
  }

  /** A hole where a head is needed. */
  function loseTrack(side: Side): void {
    if (side.mode === 'head') endHead(side, -1, true)
    else {
      side.mode = 'lost'
      isPairingUnsure = true
    }
  }

  function endHead(side: Side, at: number, isCut: boolean): void {
    const message = side.message
    const head = parseHead(side.head.view(), side === server)
    side.head.reset()
    if (message === undefined || head === undefined) {
      side.mode = 'lost'
      side.message = undefined
      isPairingUnsure = true
      return
    }
    if (side === client) startRequest({ message, head, isTruncated: isCut }, at, isCut)
    else startResponse({ message, head, isTruncated: isCut }, at, isCut)
  }

  function startRequest(part: Part, at: number, isCut: boolean): void {
    if (pending.length >= maximumPending || passedOver > 0) passedOver++
    else pending.push(part)
    startBody(client, requestFraming(part.head), part.head.contentLength, at, isCut)
  }

  function startResponse(part: Part, at: number, isCut: boolean): void {
    const { status } = part.head
    if (status < 200 && status !== 101 && at !== -1) {
      server.mode = 'idle' // an interim response: the real one follows
      server.message = undefined
      return
    }
    const method = pending[0]?.head.method ?? ''
    response = part
    if (status === 101 || (method === 'CONNECT' && status < 300)) {
      if (at !== -1) recorder.end(part.message, at)
      emit()
      isStopped = true
      recorder.stop()
      return
    }
    startBody(server, responseFraming(part.head, method), part.head.contentLength, at, isCut)
  }

  function startBody(side: Side, framing: Framing, contentLength: number, at: number, isCut: boolean): void {
    const isLost = at === -1 || (isCut && framing !== 'length' && framing !== 'chunked')
    side.body.start(isLost ? 'lost' : framing, contentLength)
    side.mode = 'body'
    if (side.body.framing() === 'none' || (framing === 'length' && contentLength === 0 && !isLost)) {
      endMessage(side, at)
    }
  }

  function endMessage(side: Side, at: number): void {
    const { message } = side
    side.mode = 'idle'
    side.message = undefined
    if (message === undefined) return
    if (at === -1) recorder.endBefore(message)
    else recorder.end(message, at)
    if (side === server) emit()
  }

  function emit(): void {
    const request = pending.shift()
    if (request !== undefined) recorder.exchange(toExchange(request, response))
    else if (passedOver > 0) passedOver--
    response = undefined
  }

  function giveUpPending(): void {
    for (const request of pending.splice(0)) recorder.exchange(toExchange(request))
    passedOver = 0
    isPairingUnsure = false
  }

  /** A message of which only the start was understood, or that only the connection's end ends. */
  function endOpenEnded(side: Side): void {
    const framing = side.mode === 'body' ? side.body.framing() : 'none'
    if (framing === 'lost' || framing === 'close') endMessage(side, -1)
  }

  return {
    push,
    turn(from) {
      const [speaking, listening] = from === 'client' ? [client, server] : [server, client]
      endOpenEnded(listening)
      if (speaking.mode === 'lost') speaking.mode = 'idle'
    },
    quiet() {
      endOpenEnded(server)
    },
    close() {
      if (client.mode === 'head') endHead(client, -1, true)
      if (server.mode === 'head') endHead(server, -1, true)
      if (server.mode === 'body' && server.message !== undefined) {
        if (server.body.framing() === 'close') endMessage(server, -1)
        else {
          if (response !== undefined) response = { ...response, isTruncated: true }
          endMessage(server, -1)
        }
      }
      giveUpPending()
    },
  }
}

function createSide(from: Speaker): Side {
  return {
    from,
    mode: 'idle',
    message: undefined,
    head: createHeadCollector(),
    body: createBody(),
  }
}

/** RFC 9112 §6.3. A request without a length has no body. */
function requestFraming(head: Head): Framing {
  if (head.isChunked) return 'chunked'
  return head.contentLength > 0 ? 'length' : 'none'
}

function responseFraming(head: Head, method: string): Framing {
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return 'none'
  if (head.isChunked) return 'chunked'
  return head.contentLength >= 0 ? 'length' : 'close'
}

/** Quick look at what is there of the first bytes; the start line is judged when it is whole. */
function isStart(from: Speaker, bytes: Uint8Array, at: number): boolean {
  if (from === 'client') return isTokenByte(bytes[at] ?? 0)
  const end = Math.min(bytes.length, at + responseStart.length)
  for (let index = at; index < end; index++) {
    if (bytes[index] !== responseStart[index - at]) return false
  }
  return true
}

const responseStart = new TextEncoder().encode('HTTP/1.')

function isTokenByte(byte: number): boolean {
  return byte > 32 && byte < 127 && !'()<>@,;:\\"/[]?={}'.includes(String.fromCharCode(byte))
}
