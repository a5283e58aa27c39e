import { encodeGroups, readGroups } from './groups.ts'
import type { Envelope } from './resource.ts'
import type { Span } from './span.ts'
import { concatBytes } from './wire.ts'

export type Signal = 'traces' | 'metrics' | 'logs' | 'profiles'

/** Where items came from: the intake that settlement accounts them to. Made by core, opaque here. */
export interface Origin {
  readonly id: number
  /** `address:port` of the sender, where one is known. */
  readonly peer: string | undefined
}

/** Spans of one resource and one scope. */
export interface SpanGroup {
  readonly resource: Envelope
  readonly scope: Envelope
  readonly spans: readonly Span[]
}

/** What came as one request and was not touched: an Export…ServiceRequest of OTLP. */
interface RequestPart {
  readonly bytes: Uint8Array
  readonly items: number
  readonly origin: Origin | undefined
}

/**
 * What flows between components: untouched requests (any signal), or groups of spans. Immutable; reading `groups` of untouched
 * requests notes where spans lie, and nothing more.
 */
export class Batch {
  readonly signal: Signal
  /** Spans, metric data points, log records or profile samples. */
  readonly items: number
  private readonly parts: readonly RequestPart[]
  private spanGroups: readonly SpanGroup[] | undefined
  private sharesByOrigin: ReadonlyMap<Origin | undefined, number> | undefined

  private constructor(signal: Signal, parts: readonly RequestPart[], groups?: readonly SpanGroup[]) {
    this.signal = signal
    this.parts = parts
    this.spanGroups = groups
    let items = 0
    if (parts.length > 0) for (const part of parts) items += part.items
    else for (const group of groups ?? []) items += group.spans.length
    this.items = items
  }

  /** One OTLP request, checked by the intake, with the number of its items. The bytes must not change afterwards. */
  static ofRequest(signal: Signal, bytes: Uint8Array, items: number, origin?: Origin): Batch {
    return new Batch(signal, [{ bytes, items, origin }])
  }

  static ofGroups(groups: readonly SpanGroup[]): Batch {
    return new Batch('traces', [], groups)
  }

  /** One batch with the items of all, in their order. They must be of one signal. */
  static merge(batches: readonly Batch[]): Batch {
    const [first] = batches
    if (!first) throw new RangeError('Batch.merge needs at least one batch.')
    if (batches.length === 1) return first
    if (batches.every(batch => batch.parts.length > 0)) {
      return new Batch(
        first.signal,
        batches.flatMap(batch => batch.parts),
      )
    }
    return Batch.ofGroups(batches.flatMap(batch => batch.groups))
  }

  /** Traces only: empty for other signals. */
  get groups(): readonly SpanGroup[] {
    return (this.spanGroups ??=
      this.signal === 'traces' ? this.parts.flatMap(part => readGroups(part.bytes, part.origin)) : [])
  }

  /** How many items each intake has in it. Counted once: every component on the way asks. */
  get shares(): ReadonlyMap<Origin | undefined, number> {
    return (this.sharesByOrigin ??= this.countShares())
  }

  private countShares(): Map<Origin | undefined, number> {
    const shares = new Map<Origin | undefined, number>()
    const add = (origin: Origin | undefined, items: number) =>
      shares.set(origin, (shares.get(origin) ?? 0) + items)
    if (this.parts.length > 0) for (const part of this.parts) add(part.origin, part.items)
    else for (const { spans } of this.groups) for (const span of spans) add(span.origin, 1)
    return shares
  }

  /** One batch for each intake that has items in it. */
  apart(): readonly Batch[] {
    const origins = [...this.shares.keys()]
    if (origins.length < 2) return [this]
    return origins.map(origin => {
      const parts = this.parts.filter(part => part.origin === origin)
      if (parts.length > 0) return new Batch(this.signal, parts)
      const groups = this.groups.map(group => ({
        ...group,
        spans: group.spans.filter(span => span.origin === origin),
      }))
      return Batch.ofGroups(groups.filter(group => group.spans.length > 0))
    })
  }

  /** The batch as an OTLP Export…ServiceRequest. Untouched requests are put one behind another as they came. */
  encode(): Uint8Array {
    return concatBytes(this.encodePieces())
  }

  /**
   * What `encode` gives, in pieces to be sent one behind another: untouched requests stay where they are, only small ones are
   * put together. For who would copy a large batch only to write it to a socket.
   */
  encodePieces(): readonly Uint8Array[] {
    if (this.parts.length === 0) return [encodeGroups(this.groups)]
    const pieces: Uint8Array[] = []
    let small: Uint8Array[] = []
    let smallBytes = 0
    const join = (): void => {
      if (small.length > 0) pieces.push(concatBytes(small))
      small = []
      smallBytes = 0
    }
    for (const { bytes } of this.parts) {
      if (bytes.length >= pieceBytes) join()
      small.push(bytes)
      smallBytes += bytes.length
      if (smallBytes >= pieceBytes) join()
    }
    join()
    return pieces
  }

  /** Bytes that `encode` would give, roughly (envelopes of split groups counted once). */
  get sizeBytes(): number {
    let size = 0
    if (this.parts.length > 0) for (const part of this.parts) size += part.bytes.length
    else {
      for (const { resource, scope, spans } of this.groups) {
        size += (resource.bytes?.length ?? 0) + (scope.bytes?.length ?? 0)
        for (const span of spans) size += span.sizeBytes + 4
      }
    }
    return size
  }

  /** Pieces of at most `maximum` items, in order. Only traces can be split; other signals come back whole. */
  split(maximum: number): readonly Batch[] {
    if (this.items <= maximum || this.signal !== 'traces') return [this]
    const pieces: Batch[] = []
    let groups: SpanGroup[] = []
    let room = maximum
    for (const { resource, scope, spans } of this.groups) {
      for (let from = 0; from < spans.length;) {
        const piece = spans.slice(from, from + room)
        groups.push({ resource, scope, spans: piece })
        from += piece.length
        room -= piece.length
        if (room > 0) continue
        pieces.push(Batch.ofGroups(groups))
        groups = []
        room = maximum
      }
    }
    if (groups.length > 0) pieces.push(Batch.ofGroups(groups))
    return pieces
  }
}

/** From this size on, to write a piece by itself costs less than to copy it. */
const pieceBytes = 64 * 1024

/** Spans with their resource and scope, in any order, put together into groups by identity. */
export function groupSpans(
  spans: Iterable<{ readonly resource: Envelope; readonly scope: Envelope; readonly span: Span }>,
): SpanGroup[] {
  const byResource = new Map<Envelope, Map<Envelope, Span[]>>()
  for (const { resource, scope, span } of spans) {
    let scopes = byResource.get(resource)
    if (!scopes) {
      scopes = new Map<Envelope, Span[]>()
      byResource.set(resource, scopes)
    }
    const known = scopes.get(scope)
    if (known) known.push(span)
    else scopes.set(scope, [span])
  }
  const groups: SpanGroup[] = []
  for (const [resource, scopes] of byResource) {
    for (const [scope, members] of scopes) groups.push({ resource, scope, spans: members })
  }
  return groups
}
