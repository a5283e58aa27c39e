import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ComponentDefinition } from '../component.ts'
import type { ConfigNode } from './node.ts'
import type { Problem } from './problem.ts'

/**
 * Loads what `plugins:` names: `.js` files (paths are relative to the config that names them) and packages. A plugin's default export is a
 * component or a list of them.
 */
export async function loadPlugins(root: ConfigNode, problems: Problem[]): Promise<ComponentDefinition[]> {
  const node = root.kind === 'map' ? root.entries.get('plugins')?.node : undefined
  if (!node || (node.kind === 'scalar' && node.value === null)) return []
  const items = node.kind === 'list' ? node.items : [node]
  const loaded: ComponentDefinition[] = []
  for (const item of items) {
    const name = item.kind === 'scalar' && typeof item.value === 'string' ? item.value : undefined
    try {
      if (node.kind !== 'list' || name === undefined) {
        throw new TypeError('plugins must be a list of paths and packages.')
      }
      const base = resolve(dirname(item.at.file), 'config')
      const isPath = /^\.{0,2}\//.test(name)
      const file = isPath ? resolve(dirname(base), name) : createRequire(base).resolve(name)
      const module = (await import(pathToFileURL(file).href)) as { default?: unknown }
      loaded.push(...componentsOf(module.default, name))
    } catch (error) {
      const message = `The plugin ${name ?? ''} cannot be loaded: ${(error as Error).message}`
      problems.push({ severity: 'error', code: 'CONFIG_BAD_PLUGIN', at: item.at, message })
    }
  }
  return loaded
}

function componentsOf(exported: unknown, name: string): ComponentDefinition[] {
  const list: unknown[] = Array.isArray(exported) ? exported : [exported]
  return list.map(each => {
    if (isDefinition(each)) return each
    throw new TypeError(
      `the default export of ${name} is not made by defineReceiver, defineProcessor, defineExporter or defineExtension.`,
    )
  })
}

function isDefinition(value: unknown): value is ComponentDefinition {
  if (typeof value !== 'object' || value === null) return false
  const { kind, type, schema, create } = value as Partial<ComponentDefinition>
  return (
    typeof kind === 'string' &&
    typeof type === 'string' &&
    typeof schema === 'object' &&
    typeof create === 'function'
  )
}
