import type { Position } from './problem.ts'

/** A config as it was written: every value with its place, so that a problem found later can name it. */
export type ConfigNode = MapNode | ListNode | ScalarNode

export interface MapNode {
  readonly kind: 'map'
  readonly at: Position
  readonly entries: ReadonlyMap<string, Entry>
}

export interface Entry {
  /** Where the key stands. */
  readonly keyAt: Position
  readonly node: ConfigNode
}

export interface ListNode {
  readonly kind: 'list'
  readonly at: Position
  readonly items: readonly ConfigNode[]
}

export type Scalar = string | number | boolean | null

export interface ScalarNode {
  readonly kind: 'scalar'
  readonly at: Position
  readonly value: Scalar
  /** What a substitution gave before YAML typed it: string settings take this, so `0123` stays `0123`. */
  readonly original?: string
}

export function emptyMap(at: Position): MapNode {
  return { kind: 'map', at, entries: new Map() }
}

/** The node and the place of its key, by path; as far down as the config goes. */
export function locate(
  node: ConfigNode,
  path: readonly string[],
): { node: ConfigNode; keyAt: Position; isComplete: boolean } {
  let found = node
  let keyAt = node.at
  for (const step of path) {
    const next =
      found.kind === 'map'
        ? found.entries.get(step)
        : found.kind === 'list'
          ? itemEntry(found.items[Number(step)])
          : undefined
    if (!next) return { node: found, keyAt, isComplete: false }
    found = next.node
    keyAt = next.keyAt
  }
  return { node: found, keyAt, isComplete: true }
}

function itemEntry(node: ConfigNode | undefined): Entry | undefined {
  return node && { keyAt: node.at, node }
}

/** What the node would be as JSON, for messages. */
export function describe(node: ConfigNode): string {
  if (node.kind === 'map') return 'a map'
  if (node.kind === 'list') return 'a list'
  if (node.value === null) return 'empty'
  return JSON.stringify(node.original ?? node.value)
}

/** Two configs as one: maps are joined key by key, anything else of the later one replaces the earlier. */
export function mergeNodes(earlier: ConfigNode, later: ConfigNode): ConfigNode {
  if (earlier.kind !== 'map' || later.kind !== 'map') return later
  const entries = new Map<string, Entry>(earlier.entries)
  for (const [key, entry] of later.entries) {
    const known = entries.get(key)
    entries.set(key, known ? { keyAt: entry.keyAt, node: mergeNodes(known.node, entry.node) } : entry)
  }
  return { kind: 'map', at: earlier.at, entries }
}
