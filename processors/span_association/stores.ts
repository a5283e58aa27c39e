import { Span } from '../../model/span.ts'

/** Some bytes in memory that live as long as one of the spans in them is held. */
export interface Store {
  readonly bytes: number
  /** How many spans in it are held. */
  live: number
}

/**
 * Gives spans bytes that may be held, and counts what stays in memory because of them. A request of which most is held stays as it
 * is: to copy it would cost as much as to read it. Of others the spans are copied into one piece.
 */
export function createStores() {
  let heldBytes = 0

  /** The same spans, in the same order, with the store each lies in. */
  function keep(spans: readonly Span[]): { readonly span: Span; readonly store: Store }[] {
    const kept: { readonly span: Span; readonly store: Store }[] = []
    for (let from = 0; from < spans.length;) {
      const { source } = spans[from]!
      let to = from
      let size = 0
      for (; to < spans.length && spans[to]!.source === source; to++) size += spans[to]!.sizeBytes
      const run = spans.slice(from, to)
      const whole = source.buffer.byteLength
      const isWhole = size * 2 >= whole
      const store = { bytes: isWhole ? whole : size, live: run.length }
      heldBytes += store.bytes
      for (const span of isWhole ? run : copied(run, size)) kept.push({ span, store })
      from = to
    }
    return kept
  }

  function release(store: Store): void {
    if (--store.live === 0) heldBytes -= store.bytes
  }

  return { keep, release, heldBytes: () => heldBytes }
}

function copied(spans: readonly Span[], size: number): Span[] {
  const bytes = new Uint8Array(size)
  let at = 0
  return spans.map(span => {
    const from = at
    bytes.set(span.bytes, from)
    at += span.sizeBytes
    return new Span(bytes, span.origin, from, at)
  })
}
