import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import { emptyMap, mergeNodes, type ConfigNode, type Entry, type Scalar } from './node.ts'
import type { Position, Problem } from './problem.ts'

interface Source {
  readonly document: Document
  readonly positionOf: (offset: number) => Position
  readonly problems: Problem[]
  /** Depth of aliases being followed: YAML lets an anchor contain itself. */
  readonly following: Set<Node>
}

/** Reads YAML or JSON (which YAML 1.2 contains). Syntax errors come back as problems, with what could be read. */
export function parseText(
  text: string,
  file: string,
  origin?: Position,
): { node: ConfigNode; problems: Problem[] } {
  if (text.includes('\0')) {
    const at = origin ?? { file, line: 1, column: 1 }
    const message = 'This is no text file. A config is JSON or YAML, in UTF-8.'
    return { node: emptyMap(at), problems: [{ severity: 'error', code: 'CONFIG_SYNTAX', at, message }] }
  }
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true, merge: true })
  const positionOf = (offset: number): Position => {
    if (origin) return origin
    const { line, col } = lineCounter.linePos(offset)
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  // After the first fault of its syntax the text means something else, and what is said about the rest would mislead.
  const first = document.errors.find(error => error.code !== 'DUPLICATE_KEY')
  const told = document.errors.filter(error => error === first || error.code === 'DUPLICATE_KEY')
  const problems: Problem[] = told.map(error => ({
    severity: 'error',
    at: positionOf(error.pos[0]),
    ...(error.code === 'DUPLICATE_KEY'
      ? { code: 'CONFIG_REPEATED_KEY', message: repeatedKey(text, error.pos[0]) }
      : { code: 'CONFIG_SYNTAX', message: `${error.message.replace(/\.$/, '')}.` }),
  }))
  const source: Source = { document, positionOf, problems, following: new Set() }
  if (document.contents === null) return { node: emptyMap(positionOf(0)), problems }
  return { node: convert(document.contents, source), problems }
}

function repeatedKey(text: string, at: number): string {
  const key = /^["']?([^"':\s]+)/.exec(text.slice(at))?.[1] ?? ''
  return `The key "${key}" stands twice in this map. Remove one of the two.`
}

function convert(node: Node | null, source: Source): ConfigNode {
  const at = source.positionOf(node?.range?.[0] ?? 0)
  if (isAlias(node)) return convertAlias(node, source, at)
  if (isMap(node)) return { kind: 'map', at, entries: convertEntries(node.items, source) }
  if (isSeq(node)) {
    return { kind: 'list', at, items: node.items.map(item => convert(asNode(item), source)) }
  }
  if (isScalar(node)) return { kind: 'scalar', at, value: asScalar(node.value) }
  return { kind: 'scalar', at, value: null }
}

function convertAlias(node: Node, source: Source, at: Position): ConfigNode {
  const target = isAlias(node) ? node.resolve(source.document) : undefined
  if (!target || source.following.has(target)) {
    source.problems.push({
      severity: 'error',
      code: 'CONFIG_SYNTAX',
      at,
      message: target ? 'This anchor contains itself.' : 'No anchor of this name stands before.',
    })
    return { kind: 'scalar', at, value: null }
  }
  source.following.add(target)
  const converted = convert(target, source)
  source.following.delete(target)
  return converted
}

function convertEntries(
  pairs: readonly { key: unknown; value: unknown }[],
  source: Source,
): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  const own = new Set<string>()
  for (const { key, value } of pairs) {
    const keyNode = asNode(key)
    const keyAt = source.positionOf(keyNode?.range?.[0] ?? 0)
    const name = nameOf(keyNode)
    // `<<: *defaults`: the keys of the anchor, unless they stand here too.
    if (name === '<<') {
      const merged = convert(asNode(value), source)
      for (const part of merged.kind === 'list' ? merged.items : [merged]) {
        if (part.kind !== 'map') continue
        for (const [inherited, entry] of part.entries) {
          if (!entries.has(inherited)) entries.set(inherited, entry)
        }
      }
    } else {
      const node = asNode(value)
      const converted: ConfigNode = node ? convert(node, source) : { kind: 'scalar', at: keyAt, value: null }
      // A repeated key is a problem already. Joined, neither part makes names look undefined that the other has.
      const before = own.has(name) ? entries.get(name) : undefined
      own.add(name)
      entries.set(
        name,
        before ? { ...before, node: mergeNodes(converted, before.node) } : { keyAt, node: converted },
      )
    }
  }
  return entries
}

/** A merge key is a symbol to the parser. */
function nameOf(key: Node | null): string {
  if (!isScalar(key)) return '?'
  return typeof key.value === 'symbol' ? '<<' : String(key.value)
}

function asNode(value: unknown): Node | null {
  return isAlias(value) || isMap(value) || isSeq(value) || isScalar(value) ? value : null
}

function asScalar(value: unknown): Scalar {
  if (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
  ) {
    return value
  }
  if (typeof value === 'bigint') return Number(value)
  return value === undefined ? null : JSON.stringify(value)
}
