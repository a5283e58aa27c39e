import type { Component } from './component.ts'
import type { Held } from './held.ts'
import type { Link, Linked } from './links.ts'

/** What is left of a span that has gone: enough for a late one to join it. */
export interface Remembered {
  readonly traceId: string
  readonly spanId: string
}

/** What is left of a span, for a later version of itself. */
export interface LeftSpan {
  readonly traceId: string
  readonly start: number
  readonly end: number
  readonly sizeBytes: number
  /** Under what it left; undefined where it had no parent from us. */
  readonly link: Link | undefined
}

/**
 * Keys of what has left, so that what comes later takes the same trace id and the best parent still known. Two generations of
 * bounded size: when the younger is full, the older is forgotten.
 */
export interface Memory {
  /** The APP span with this key. */
  span(ownKey: string): Remembered | undefined
  /** The last sight of the exchange that carried this header, or had this exchange key. */
  tail(key: string): Remembered | undefined
  /** The id under which an SDK's trace left. */
  traceId(traceKey: string): string | undefined
  /** How the same span left before. */
  left(held: Held): LeftSpan | undefined
  remember(component: Component, linked: Linked): void
}

export function createMemory(limit: number): Memory {
  // Apart, because keys that are put together from a kind and a key cost more than all else here.
  const apps = createGenerations<Remembered>(limit / 6)
  const traces = createGenerations<Remembered>(limit / 6)
  const tails = createGenerations<Remembered>(limit / 6)
  const spans = createGenerations<LeftSpan>(limit / 2)

  function rememberSpan(held: Held, { parents }: Linked): void {
    const { span, start, end, leftInTrace } = held
    const link = parents.get(held)
    // Not the parent itself, which would keep its bytes, and by its own link all others.
    const parent = link && { spanId: idOf(link.parent), traceId: leftInTrace }
    spans.set(span.spanId, {
      traceId: leftInTrace,
      start,
      end,
      sizeBytes: span.sizeBytes,
      link: parent && { ...link, parent },
    })
  }

  return {
    span: key => apps.get(key),
    tail: key => tails.get(key),
    traceId: key => traces.get(key)?.traceId,
    left(held) {
      const known = spans.get(held.span.spanId)
      return known?.start === held.start ? known : undefined
    },
    remember(component, linked) {
      for (const app of component.apps) {
        const { ownKey, traceKey, leftInTrace, span } = app
        const left = { traceId: leftInTrace, spanId: span.spanId }
        apps.set(ownKey, left)
        traces.set(traceKey, left)
        rememberSpan(app, linked)
      }
      for (const { key, headers, members, tail } of component.exchanges) {
        const left = { traceId: tail.leftInTrace, spanId: tail.span.spanId }
        tails.set(key, left)
        for (const header of headers) tails.set(header.key, left)
        for (const sight of members) rememberSpan(sight, linked)
      }
    },
  }
}

function idOf(parent: Link['parent']): string {
  return 'span' in parent ? parent.span.spanId : parent.spanId
}

function createGenerations<Value>(limit: number) {
  let young = new Map<string, Value>()
  let old = new Map<string, Value>()
  return {
    get: (key: string) => young.get(key) ?? old.get(key),
    set(key: string, value: Value) {
      if (young.size >= limit / 2) {
        old = young
        young = new Map()
      }
      young.set(key, value)
    },
  }
}
