import type { Message, Recorder, Speaker } from '../protocol.ts'

/** What is kept of one message; names and answers beyond it are not read. */
const maximumKeptBytes = 4096

interface Side {
  message: Message | undefined
  /** The length prefix so far, then the message. */
  kept: Uint8Array
  keptBytes: number
  /** Bytes of prefix and message so far. */
  seenBytes: number
  isCut: boolean
  isLost: boolean
}

/** Cuts each end's bytes into messages by their two-byte length (RFC 1035 §4.2.2). */
export function createTcpFrames(
  recorder: Recorder,
  take: (message: Message, bytes: Uint8Array, length: number) => void,
): { push(from: Speaker, bytes: Uint8Array, length: number): void; turn(from: Speaker): void } {
  const sides: Record<Speaker, Side> = { client: createSide(), server: createSide() }

  function push(from: Speaker, bytes: Uint8Array, length: number): void {
    const side = sides[from]
    let at = 0
    while (at < length && !side.isLost) {
      if (side.seenBytes < 2 && at >= bytes.length) {
        lose(side)
        return
      }
      side.message ??= recorder.begin(from, at)
      const wanted = side.seenBytes < 2 ? 2 : 2 + lengthOf(side)
      const step = Math.min(wanted - side.seenBytes, (side.seenBytes < 2 ? bytes.length : length) - at)
      keep(side, bytes, at, step)
      at += step
      if (side.seenBytes >= 2 && side.seenBytes === 2 + lengthOf(side)) endMessage(side, at)
    }
  }

  function endMessage(side: Side, at: number): void {
    const { message } = side
    const length = lengthOf(side)
    const bytes = side.kept.slice(2, side.keptBytes)
    reset(side)
    if (message === undefined) return
    recorder.end(message, at)
    take(message, bytes, length)
  }

  return {
    push,
    turn(from) {
      if (sides[from].isLost) reset(sides[from])
    },
  }
}

function createSide(): Side {
  return {
    message: undefined,
    kept: new Uint8Array(64),
    keptBytes: 0,
    seenBytes: 0,
    isCut: false,
    isLost: false,
  }
}

function lengthOf(side: Side): number {
  return (side.kept[0]! << 8) | side.kept[1]!
}

/** Keeps what was captured up to the first hole. */
function keep(side: Side, bytes: Uint8Array, at: number, step: number): void {
  const captured = side.isCut ? 0 : Math.max(0, Math.min(step, bytes.length - at))
  const room = Math.min(captured, maximumKeptBytes - side.keptBytes)
  if (side.keptBytes + room > side.kept.length) {
    const grown = new Uint8Array(Math.min(maximumKeptBytes, 4 * (side.keptBytes + room)))
    grown.set(side.kept)
    side.kept = grown
  }
  side.kept.set(bytes.subarray(at, at + room), side.keptBytes)
  side.keptBytes += room
  side.isCut ||= room < step
  side.seenBytes += step
}

function lose(side: Side): void {
  reset(side)
  side.isLost = true
}

function reset(side: Side): void {
  side.message = undefined
  side.keptBytes = 0
  side.seenBytes = 0
  side.isCut = false
  side.isLost = false
}
