import type { Protocol, Speaker, Transport } from '../protocols/protocol.ts'
import type { Direction } from './conversation.ts'
import type { Mark } from './message.ts'

/** After this many turns that no protocol knows, the connection is left alone. */
const maximumTurns = 8
/** Or after this many events of one turn: a log, a stream without answers. */
const maximumHopelessPieces = 1024
/** The start of a turn that protocols may look at. */
const maximumHeadBytes = 1024
/** What is kept of the turn in question, to hand it to the decoder afterwards. */
const maximumHeldBytes = 16 * 1024
const maximumHeldPieces = 1100 // a head that comes byte by byte

export interface Piece {
  readonly direction: Direction
  readonly mark: Mark
  readonly bytes: Uint8Array
  readonly length: number
}

export interface Found {
  readonly protocol: Protocol
  readonly speakerOf0: Speaker
  /** The pieces of the turn that was recognised, in order; the decoder starts with them. */
  readonly held: readonly Piece[]
}

/** Looks at the start of each turn until a protocol is sure of it, a bounded number of times. */
export interface Recognition {
  push(direction: Direction, mark: Mark, bytes: Uint8Array, length: number): Found | 'more' | 'unknown'
}

export function createRecognition(options: {
  readonly transport: Transport
  readonly protocols: readonly Protocol[]
  readonly speakerOf0: Speaker | undefined
}): Recognition {
  const candidates = options.protocols.filter(protocol => protocol.transports.includes(options.transport))
  let turns = 0
  let direction: Direction | undefined
  let isTurnHopeless = false
  let hopelessPieces = 0
  let held: Piece[] = []
  let heldBytes = 0
  let head: Uint8Array = new Uint8Array(0)
  let length = 0
  /** Bytes after a hole are no part of the turn's start. */
  let isHeadCut = false

  function startTurn(newDirection: Direction): void {
    direction = newDirection
    turns++
    isTurnHopeless = false
    hopelessPieces = 0
    held = []
    heldBytes = 0
    head = new Uint8Array(0)
    length = 0
    isHeadCut = false
  }

  function hold(piece: Piece): void {
    const bytes = new Uint8Array(piece.bytes) // who pushes may use its buffer again
    held.push({ ...piece, bytes })
    heldBytes += bytes.length
    if (!isHeadCut && head.length < maximumHeadBytes) head = join(head, bytes)
    if (bytes.length < piece.length) isHeadCut = true
    length += piece.length
  }

  function judge(): Found | 'more' | 'no' {
    let isOpen = false
    for (const protocol of candidates) {
      const verdict = protocol.recognise(head, length, options.transport)
      if (verdict === 'more') isOpen = true
      if (verdict === 'more' || verdict === 'no') continue
      const speakerOf0 = direction === 0 ? verdict : verdict === 'client' ? 'server' : 'client'
      if (options.speakerOf0 !== undefined && options.speakerOf0 !== speakerOf0) continue
      return { protocol, speakerOf0, held }
    }
    const isFull = isHeadCut || head.length >= maximumHeadBytes
    return isOpen && !isFull ? 'more' : 'no'
  }

  return {
    push(newDirection, mark, bytes, newLength) {
      const isDatagram = options.transport === 'udp'
      if (direction !== newDirection || isDatagram) startTurn(newDirection)
      if (isTurnHopeless) return ++hopelessPieces > maximumHopelessPieces ? 'unknown' : 'more'
      if (turns > maximumTurns) return 'unknown'
      hold({ direction: newDirection, mark, bytes, length: newLength })
      if (head.length === 0) {
        isTurnHopeless = isHeadCut
        return 'more'
      }
      const verdict = judge()
      if (verdict === 'more' && heldBytes < maximumHeldBytes && held.length < maximumHeldPieces) return 'more'
      if (verdict !== 'more' && verdict !== 'no') return verdict
      isTurnHopeless = true
      held = []
      return turns >= maximumTurns ? 'unknown' : 'more'
    },
  }
}

function join(head: Uint8Array, bytes: Uint8Array): Uint8Array {
  const room = Math.min(bytes.length, maximumHeadBytes - head.length)
  const joined = new Uint8Array(head.length + room)
  joined.set(head)
  joined.set(bytes.subarray(0, room), head.length)
  return joined
}
