import { readFileSync } from 'node:fs'
import type { ComponentDefinition } from '../component.ts'
import { FullspanError } from '../errors.ts'
import { createRegistry, type Registry } from '../registry.ts'
import { nodeOfSetting } from './setting.ts'
import { type ConfigNode, emptyMap, mergeNodes } from './node.ts'
import { parseText } from './parse.ts'
import { loadPlugins } from './plugins.ts'
import { formatProblem, type Problem } from './problem.ts'
import { type Config, resolveConfig } from './resolve.ts'
import { substitute } from './substitute.ts'

export interface ConfigSources {
  /** Paths of JSON or YAML files, `env:NAME`, or `yaml:text`; later ones win. */
  readonly files: readonly string[]
  /** `path=value`, stronger than all files. */
  readonly settings?: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What is built in; plugins that the config names are added. */
  readonly components: readonly ComponentDefinition[]
}

export interface LoadedConfig {
  readonly config: Config
  /** Merged and substituted, with places: for `print-config`. */
  readonly root: ConfigNode
  readonly registry: Registry
  readonly problems: readonly Problem[]
}

/** Reads, joins, substitutes and checks a config; finds every problem in one go and throws none of them. */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const env = sources.env ?? process.env
  const problems: Problem[] = []
  let root: ConfigNode | undefined
  const add = ({ node, problems: found }: { node: ConfigNode; problems: Problem[] }): void => {
    problems.push(...found)
    root = root ? mergeNodes(root, substitute(node, { env, problems })) : substitute(node, { env, problems })
  }
  for (const file of sources.files) add(readSource(file, env))
  for (const setting of sources.settings ?? []) add(nodeOfSetting(setting))
  const merged = root ?? emptyMap({ file: 'config', line: 1, column: 1 })

  const plugins = await loadPlugins(merged, sources.components, problems)
  const registry = createRegistry([...sources.components, ...plugins])
  // What could not be read would make everything after it look undefined, and a plugin that is missing its components.
  const isReadable = !problems.some(each => ['CONFIG_UNREADABLE', 'CONFIG_SYNTAX'].includes(each.code))
  const { config, problems: found } = resolveConfig(merged, registry)
  const isMissing = problems.some(each => each.code === 'CONFIG_BAD_PLUGIN')
  if (isReadable) problems.push(...found.filter(each => !(isMissing && each.code === 'CONFIG_UNKNOWN_TYPE')))
  return { config, root: merged, registry, problems: problems.toSorted(byPlace) }
}

/** Throws one error that lists every problem, if any of them is an error. */
export function assertValid(problems: readonly Problem[]): void {
  const errors = problems.filter(each => each.severity === 'error')
  if (errors.length === 0) return
  throw new FullspanError({
    code: 'CONFIG_INVALID',
    remedy: 'fix-config',
    message: errors.map(formatProblem).join('\n'),
  })
}

function readSource(
  source: string,
  env: Readonly<Record<string, string | undefined>>,
): { node: ConfigNode; problems: Problem[] } {
  const at = { file: source, line: 1, column: 1 }
  if (source.startsWith('yaml:')) return parseText(source.slice(5), 'yaml:')
  if (source.startsWith('env:')) {
    const text = env[source.slice(4)]
    if (text !== undefined) return parseText(text, source)
    const message = `The environment variable ${source.slice(4)} is not set.`
    return { node: emptyMap(at), problems: [{ severity: 'error', code: 'CONFIG_UNREADABLE', at, message }] }
  }
  const path = source.replace(/^file:/, '')
  try {
    return parseText(readFileSync(path, 'utf8'), path)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    const message = `The config cannot be read: ${unreadable[code] ?? String(error)}.`
    return {
      node: emptyMap(at),
      problems: [{ severity: 'error', code: 'CONFIG_UNREADABLE', at: { ...at, file: path }, message }],
    }
  }
}

const unreadable: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'this user may not read it',
}

function byPlace(left: Problem, right: Problem): number {
  const { at: a } = left
  const { at: b } = right
  return a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column
}
