import type { SpanGroup } from '../../model/batch.ts'
import { Span } from '../../model/span.ts'

/** Some bytes in memory that live as long as one of the spans in them is held. */
export interface Store {
  readonly bytes: number
  /** How many spans in it are held. */
  live: number
}

export type Stores = ReturnType<typeof createStores>

/**
 * Gives spans bytes that may be held, and counts what stays in memory because of them. A request of which most is held stays as it
 * is: to copy it would cost as much as to read it. Of others the spans are copied into one piece.
 */
export function createStores() {
  let heldBytes = 0

  /** Spans of one batch, in their order: calls `visit` with each, with bytes that may be held. */
  function keep(
    groups: readonly SpanGroup[],
    visit: (span: Span, store: Store, group: SpanGroup) => void,
  ): void {
    const sizes = new Map<Uint8Array, { size: number; count: number }>()
    for (const { spans } of groups) {
      for (const { source, sizeBytes } of spans) {
        const known = sizes.get(source)
        if (known) {
          known.size += sizeBytes
          known.count++
        } else sizes.set(source, { size: sizeBytes, count: 1 })
      }
    }
    const places = new Map<Uint8Array, Place>()
    for (const [source, { size, count }] of sizes) {
      const whole = source.buffer.byteLength
      const isWhole = size * 2 >= whole
      const store = { bytes: isWhole ? whole : size, live: count }
      heldBytes += store.bytes
      places.set(source, { store, copy: isWhole ? undefined : new Uint8Array(size), at: 0 })
    }
    for (const group of groups) {
      for (const span of group.spans) {
        const place = places.get(span.source)!
        visit(place.copy ? copied(span, place, place.copy) : span, place.store, group)
      }
    }
  }

  function release(store: Store): void {
    if (--store.live === 0) heldBytes -= store.bytes
  }

  return { keep, release, heldBytes: () => heldBytes }
}

/** Where the spans of one source are put. */
interface Place {
  readonly store: Store
  /** Undefined where they stay in their request. */
  readonly copy: Uint8Array | undefined
  at: number
}

function copied(span: Span, place: Place, copy: Uint8Array): Span {
  const from = place.at
  copy.set(span.bytes, from)
  place.at += span.sizeBytes
  return new Span(copy, span.origin, from, place.at)
}
