/** Walks over one end's packets: 3 bytes of length, 1 of sequence number, payload. Headers must have been captured. */
export interface Packets {
  /** Takes bytes from `at`; returns the position where the packet ended, -1 while it goes on, -2 when framing is lost. */
  feed(bytes: Uint8Array, length: number, at: number): number
  /** Payload bytes of the packet, over its continuations (those are of 0xffffff bytes each). */
  payloadLength(): number
  sequence(): number
  /** The captured start of the payload. Valid until the next `feed`. */
  payload(): Uint8Array
  /** Nothing of a packet has come yet. */
  isBetween(): boolean
  /** How much of a payload is kept from the next packet on. */
  keep(bytes: number): void
  reset(): void
}

export const goesOn = -1
export const isLost = -2

const headerBytes = 4
const longestPacket = 0xffffff
export const maximumKeptBytes = 4096

export function createPackets(): Packets {
  let kept = new Uint8Array(64)
  let keptBytes = 0
  let keptLimit = maximumKeptBytes
  let isCut = false
  let headerSeen = 0
  let header = 0
  let sequence = 0
  let remaining = 0
  let payloadLength = 0
  let isContinuation = false

  function reset(): void {
    keptBytes = 0
    isCut = false
    headerSeen = 0
    header = 0
    remaining = 0
    payloadLength = 0
    isContinuation = false
  }

  function grow(wanted: number): void {
    const grown = new Uint8Array(Math.min(maximumKeptBytes, Math.max(wanted, kept.length * 4)))
    grown.set(kept)
    kept = grown
  }

  function keepBytes(bytes: Uint8Array, at: number, step: number): void {
    if (isCut) return
    const room = Math.min(step, bytes.length - at, keptLimit - keptBytes)
    if (room > 0) {
      if (keptBytes + room > kept.length) grow(keptBytes + room)
      if (room <= 16) for (let index = 0; index < room; index++) kept[keptBytes + index] = bytes[at + index]!
      else kept.set(bytes.subarray(at, at + room), keptBytes)
      keptBytes += room
    }
    isCut = room < step
  }

  return {
    feed(bytes, length, from) {
      let at = from
      if (headerSeen === 0 && !isContinuation) reset()
      for (;;) {
        while (headerSeen < headerBytes) {
          if (at >= length) return goesOn
          const byte = bytes[at]
          if (byte === undefined) return isLost
          if (headerSeen === 3) sequence = byte
          else header |= byte << (8 * headerSeen)
          headerSeen++
          at++
          if (headerSeen === headerBytes) {
            remaining = header
            payloadLength += header
          }
        }
        const step = Math.min(remaining, length - at)
        keepBytes(bytes, at, step)
        at += step
        remaining -= step
        if (remaining > 0) return goesOn
        isContinuation = header === longestPacket
        headerSeen = 0
        header = 0
        if (!isContinuation) return at
      }
    },
    payloadLength: () => payloadLength,
    sequence: () => sequence,
    payload: () => kept.subarray(0, keptBytes),
    isBetween: () => headerSeen === 0 && !isContinuation,
    keep(bytes) {
      keptLimit = Math.min(bytes, maximumKeptBytes)
    },
    reset,
  }
}
