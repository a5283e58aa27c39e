import { parseText } from './parse.ts'
import type { ConfigNode, Entry } from './node.ts'
import type { Position, Problem } from './problem.ts'

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

/** `--set processors.batch.timeout=2s` as a config of its own. The value is YAML; its keys may be parted by `.` or `::`. */
export function nodeOfSetting(setting: string): { node: ConfigNode; problems: Problem[] } {
  const at: Position = { file: `--set ${setting}`, line: 1, column: 1 }
  const equals = setting.indexOf('=')
  const path = setting.slice(0, Math.max(equals, 0)).split(/::|\./)
  if (equals < 1 || path.includes('')) {
    const message = '--set takes a path and a value, such as "processors.batch.timeout=2s".'
    return {
      node: { kind: 'map', at, entries: new Map() },
      problems: [{ severity: 'error', code: 'CONFIG_BAD_SETTING', at, message }],
    }
  }
  const { node: value, problems } = parseText(setting.slice(equals + 1), at.file, at)
  const isEmpty = setting.length === equals + 1
  const leaf: ConfigNode = isEmpty ? { kind: 'scalar', at, value: '' } : value
  const node = path.reduceRight<ConfigNode>(
    (inner, key) => ({ kind: 'map', at, entries: new Map([[key, { keyAt: at, node: inner }]]) }),
    leaf,
  )
  return { node, problems }
}
