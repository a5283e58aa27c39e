import { createConversation } from '../../flow/conversation.ts'
import type { Direction, SeenExchange } from '../../flow/conversation.ts'
import { packetMark, startHashOf } from '../../flow/message.ts'
import type { Protocol, Speaker, Transport } from '../../protocols/protocol.ts'

/** What moved in one call: text (latin1) or bytes; `seen`: how much of it was captured. */
export interface Piece {
  readonly from: Speaker
  readonly bytes: string | Uint8Array
  readonly seen?: number
  /** That many bytes moved unseen. */
  readonly hole?: number
}

export interface PlainExchange {
  readonly name: string
  readonly attributes: SeenExchange['attributes']
  readonly error: string
  readonly incomplete: readonly string[]
  /** Stream offsets: [first, length] of each message. */
  readonly request: readonly [number, number]
  readonly response: readonly [number, number] | undefined
  readonly hashes: readonly string[]
}

/** Feeds a conversation (direction 0 is the client) and returns the exchanges found, with offsets instead of times. */
export function converse(
  protocols: readonly Protocol[],
  pieces: readonly Piece[],
  options: { transport?: Transport; close?: boolean; quiet?: boolean; knownRole?: boolean } = {},
): PlainExchange[] {
  const exchanges: PlainExchange[] = []
  const conversation = createConversation({
    transport: options.transport ?? 'tcp',
    protocols,
    isLate: false,
    speakerOf0: options.knownRole === true ? 'client' : undefined,
    onExchange: exchange => exchanges.push(toPlain(exchange)),
  })
  const offsets = [0, 0]
  let time = 0n
  for (const piece of pieces) {
    const direction: Direction = piece.from === 'client' ? 0 : 1
    const bytes = toBytes(piece.bytes)
    const length = bytes.length + (piece.hole ?? 0)
    const mark = packetMark(++time, offsets[direction]!, false)
    conversation.push(direction, mark, bytes.subarray(0, piece.seen ?? bytes.length), length)
    offsets[direction]! += length
  }
  if (options.quiet === true) conversation.quiet()
  if (options.close !== false) conversation.close()
  return exchanges
}

function toPlain(exchange: SeenExchange): PlainExchange {
  const { name, attributes, error, incomplete, request, response } = exchange
  return {
    name,
    attributes,
    error: error === undefined ? '' : `${error.type} ${error.message} (${error.countsFor})`,
    incomplete,
    request: [request.seq, request.lengthBytes],
    response: response && [response.seq, response.lengthBytes],
    hashes: [startHashOf(request), response === undefined ? '' : startHashOf(response)],
  }
}

export function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, 'latin1') : data
}

/** The same bytes, cut at `cuts` (taken modulo the length): what any other sequence of calls would have moved. */
export function cutPieces(pieces: readonly Piece[], cuts: readonly number[]): Piece[] {
  return pieces.flatMap(piece => {
    const bytes = toBytes(piece.bytes)
    const edges = [0, ...new Set(cuts.map(cut => cut % (bytes.length + 1))), bytes.length].sort(
      (a, b) => a - b,
    )
    return edges
      .slice(1)
      .map((edge, index) => ({ from: piece.from, bytes: bytes.subarray(edges[index], edge) }))
      .filter(part => part.bytes.length > 0)
  })
}
