import { parseText } from './parse.ts'
import type { ConfigNode } from './node.ts'
import type { Position, Problem } from './problem.ts'

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
