const maximumKeptBytes = 16 * 1024
const nothing: Uint8Array = new Uint8Array(0)

/** Gathers the head of a message from pieces, up to the empty line; keeps its first 16 KiB. */
export interface HeadCollector {
  reset(): void
  /** Takes `bytes` from `from`; returns the position after the empty line, or -1 when it has not come yet. */
  feed(bytes: Uint8Array, from: number): number
  /** What was gathered. */
  view(): Uint8Array
  /** More came than is kept. */
  isCut(): boolean
}

export function createHeadCollector(): HeadCollector {
  let kept = nothing
  let keptLength = 0
  let isCut = false
  let lineLength = 0
  let isLineOnlyCr = false

  /** Copies, since who pushes may use its buffer again. */
  function keep(bytes: Uint8Array, from: number, to: number): void {
    const room = Math.min(to - from, maximumKeptBytes - keptLength)
    isCut ||= room < to - from
    if (keptLength + room > kept.length) {
      const grown = new Uint8Array(Math.min(maximumKeptBytes, Math.max(1024, (keptLength + room) * 2)))
      grown.set(kept.subarray(0, keptLength))
      kept = grown
    }
    kept.set(bytes.subarray(from, from + room), keptLength)
    keptLength += room
  }

  return {
    reset() {
      kept = nothing
      keptLength = 0
      isCut = false
      lineLength = 0
      isLineOnlyCr = false
    },
    feed(bytes, from) {
      let at = from
      for (;;) {
        const newline = bytes.indexOf(10, at)
        if (newline === -1) break
        const length = lineLength + newline - at
        const isEmpty = length === 0 || (length === 1 && (newline > at ? bytes[at] === 13 : isLineOnlyCr))
        lineLength = 0
        at = newline + 1
        if (isEmpty) {
          if (keptLength === 0 && at - from <= maximumKeptBytes) {
            kept = bytes.subarray(from, at)
            keptLength = kept.length
          } else {
            keep(bytes, from, at)
          }
          return at
        }
      }
      if (bytes.length > at) {
        isLineOnlyCr = lineLength === 0 && bytes.length - at === 1 && bytes[at] === 13
        lineLength += bytes.length - at
      }
      keep(bytes, from, bytes.length)
      return -1
    },
    view: () => kept.subarray(0, keptLength),
    isCut: () => isCut,
  }
}
