import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { folderOf } from './relative.ts'
import type { ConfigNode, Entry, ScalarNode } from './node.ts'
import { parseText } from './parse.ts'
import type { Position, Problem } from './problem.ts'

/** What references read from. Paths in `${file:…}` are relative to the file that has the reference. */
export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly problems: Problem[]
}

/** `${…}` without another `${` in it, or `$$`: the innermost first, so references may be nested. */
const reference = /\$\$|\$\{([^{}$]*)\}/g
const maxDepth = 20

/**
 * Replaces `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:path}` and `$$` in all scalars, with the Collector's typing: a value
 * that is nothing but a reference is read as YAML (and keeps its text for string settings), one inside a text is text.
 */
export function substitute(node: ConfigNode, sources: Sources): ConfigNode {
  if (node.kind === 'list') {
    return { ...node, items: node.items.map(item => substitute(item, sources)) }
  }
  if (node.kind === 'map') {
    const entries = new Map<string, Entry>()
    for (const [key, { keyAt, node: value }] of node.entries) {
      entries.set(key, { keyAt, node: substitute(value, sources) })
    }
    return { ...node, entries }
  }
  return typeof node.value === 'string' && node.value.includes('$')
    ? expand(node, node.value, sources, 0)
    : node
}

function expand(node: ScalarNode, text: string, sources: Sources, depth: number): ConfigNode {
  if (depth > maxDepth) {
    report(sources, node.at, `References in ${JSON.stringify(text)} are nested without end.`)
    return { ...node, value: null }
  }
  const whole = /^\$\{([^{}$]*)\}$/.exec(text)
  if (whole) return typed(node, read(whole[1] ?? '', node.at, sources), sources, depth)
  const expanded = text.replaceAll(reference, (_match, inner: string | undefined) =>
    inner === undefined ? '$$' : (read(inner, node.at, sources) ?? '').replaceAll('$', () => '$$'),
  )
  // A text may become a reference by an inner one: "${env:${env:WHICH}}".
  if (/\$\{[^{}]*\$\{/.test(text)) return expand(node, expanded, sources, depth + 1)
  return { kind: 'scalar', at: node.at, value: expanded.replaceAll('$$', () => '$') }
}

/** A value that is one reference: its YAML, with the original text kept beside. */
function typed(node: ScalarNode, text: string | undefined, sources: Sources, depth: number): ConfigNode {
  if (text === undefined) return { ...node, value: null }
  if (/^\$\{[^{}$]*\}$/.test(text)) return expand(node, text, sources, depth + 1)
  const { node: parsed, problems } = parseText(text, node.at.file, node.at)
  if (problems.length > 0) return { ...node, value: text, original: text }
  if (text.trim() === '') return { ...node, value: null, original: text }
  if (parsed.kind === 'scalar') return { ...parsed, original: text }
  return substitute(parsed, sources)
}

function read(inner: string, at: Position, sources: Sources): string | undefined {
  const [, scheme = 'env', rest = ''] = /^(?:([a-z]+):)?(.*)$/s.exec(inner) ?? []
  if (scheme === 'env') return readEnv(rest, at, sources)
  if (scheme === 'file') return readFile(rest, at, sources)
  report(
    sources,
    at,
    `"\${${inner}}" cannot be read: only "\${env:NAME}", "\${env:NAME:-default}" and "\${file:path}" are known; write "$$" for a plain "$".`,
  )
  return undefined
}

function readEnv(text: string, at: Position, sources: Sources): string | undefined {
  const [, name = text, , fallback] = /^(.*?)(:-(.*))?$/s.exec(text) ?? []
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
    report(sources, at, `"${name}" is no name of an environment variable (letters, digits and "_").`)
    return undefined
  }
  const value = sources.env[name] ?? fallback
  if (value !== undefined) return value
  sources.problems.push({
    severity: 'warning',
    code: 'CONFIG_UNSET_VARIABLE',
    at,
    message: `environment variable ${name} is not set, so this is empty; "\${env:${name}:-default}" would give a default.`,
  })
  return undefined
}

function readFile(path: string, at: Position, sources: Sources): string | undefined {
  try {
    return readFileSync(resolve(folderOf(at.file), path), 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    report(sources, at, `"${path}" cannot be read: ${(error as Error).message}.`)
    return undefined
  }
}

function report(sources: Sources, at: Position, message: string): void {
  sources.problems.push({ severity: 'error', code: 'CONFIG_REFERENCE', at, message })
}
