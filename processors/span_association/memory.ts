import type { Component } from './component.ts'

/** What is left of a span that has gone: enough for a late one to join it. */
export interface Remembered {
  readonly traceId: string
  readonly spanId: string
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
  remember(component: Component): void
}

export function createMemory(limit: number): Memory {
  let young = new Map<string, Remembered>()
  let old = new Map<string, Remembered>()

  const find = (key: string) => young.get(key) ?? old.get(key)
  const keep = (key: string, value: Remembered) => {
    if (young.size >= limit / 2) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }

  return {
    span: key => find(`span|${key}`),
    tail: key => find(`tail|${key}`),
    traceId: key => find(`trace|${key}`)?.traceId,
    remember({ apps, exchanges }) {
      for (const { ownKey, traceKey, leftInTrace, span } of apps) {
        const left = { traceId: leftInTrace, spanId: span.spanId }
        keep(`span|${ownKey}`, left)
        keep(`trace|${traceKey}`, left)
      }
      for (const { key, headers, tail } of exchanges) {
        const left = { traceId: tail.leftInTrace, spanId: tail.span.spanId }
        keep(`tail|${key}`, left)
        for (const header of headers) keep(`tail|${header.key}`, left)
      }
    },
  }
}
