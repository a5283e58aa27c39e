/** How the body of a message ends. `lost`: its framing was not captured, so only the other end's turn ends it. */
export type Framing = 'none' | 'length' | 'chunked' | 'close' | 'lost'

/** Walks over a body by its own framing; what is skipped need not have been captured. */
export interface Body {
  start(framing: Framing, contentLength: number): void
  /** Takes bytes from `at`; returns the position where the body ended, or -1 while it goes on. */
  feed(bytes: Uint8Array, length: number, at: number): number
  framing(): Framing
}

type Part = 'size' | 'extension' | 'data' | 'trailer'
const maximumSizeDigits = 12

export function createBody(): Body {
  let framing: Framing = 'none'
  let remaining = 0
  let part: Part = 'size'
  let digits = 0
  let lineLength = 0

  /** RFC 9112 §7.1. Chunk lines must have been captured, chunk data not. */
  function feedChunked(bytes: Uint8Array, length: number, from: number): number {
    let at = from
    while (at < length) {
      if (part === 'data') {
        const step = Math.min(remaining, length - at)
        remaining -= step
        at += step
        if (remaining === 0) startLine('size')
        continue
      }
      const byte = bytes[at]
      if (byte === undefined) {
        framing = 'lost'
        return -1
      }
      at++
      if (part === 'trailer') {
        if (byte !== 10) lineLength += byte === 13 ? 0 : 1
        else if (lineLength === 0) return at
        else lineLength = 0
      } else if (byte === 10) {
        endSizeLine()
      } else if (part === 'size') {
        takeSizeByte(byte)
      }
      if (framing === 'lost') return -1
    }
    return -1
  }

  function startLine(next: Part): void {
    part = next
    remaining = 0
    digits = 0
    lineLength = 0
  }

  function takeSizeByte(byte: number): void {
    const digit = hexDigit(byte)
    if (digit === -1) {
      part = 'extension'
      if (byte !== 59 && byte !== 13 && byte !== 32 && byte !== 9) framing = 'lost'
    } else if (++digits > maximumSizeDigits) {
      framing = 'lost'
    } else {
      remaining = remaining * 16 + digit
    }
  }

  function endSizeLine(): void {
    if (digits === 0) framing = 'lost'
    else if (remaining === 0) startLine('trailer')
    else {
      part = 'data'
      remaining += 2 // the CRLF behind the data
    }
  }

  return {
    start(newFraming, contentLength) {
      framing = newFraming
      startLine('size')
      if (framing === 'length') remaining = contentLength
    },
    feed(bytes, length, at) {
      if (framing === 'none') return at
      if (framing === 'chunked') return feedChunked(bytes, length, at)
      if (framing !== 'length') return -1
      const step = Math.min(remaining, length - at)
      remaining -= step
      return remaining === 0 ? at + step : -1
    },
    framing: () => framing,
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
