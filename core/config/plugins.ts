import { resolve } from 'node:path'
import { folderOf } from './relative.ts'
import type { ComponentDefinition } from '../component.ts'
import { checkDefinition } from '../plugins/check-definition.ts'
import { loadPlugin } from '../plugins/load-plugin.ts'
import type { ConfigNode } from './node.ts'
import type { Problem } from './problem.ts'

/**
 * Loads what `plugins:` names: `.ts` and `.js` files (paths are relative to the config that names them) and packages. A plugin's default
 * export is a component or a list of them, of types that nothing else has.
 */
export async function loadPlugins(
  root: ConfigNode,
  builtIn: readonly ComponentDefinition[],
  problems: Problem[],
): Promise<ComponentDefinition[]> {
  const node = root.kind === 'map' ? root.entries.get('plugins')?.node : undefined
  if (!node || (node.kind === 'scalar' && node.value === null)) return []
  const loaded: ComponentDefinition[] = []
  const owners = new Map<string, string>()
  for (const definition of builtIn) for (const key of keysOf(definition)) owners.set(key, 'built in')
  for (const item of node.kind === 'list' ? node.items : [node]) {
    const name = item.kind === 'scalar' && typeof item.value === 'string' ? item.value : undefined
    const complain = (message: string): void => {
      problems.push({ severity: 'error', code: 'CONFIG_BAD_PLUGIN', at: item.at, message })
    }
    if (node.kind !== 'list' || name === undefined) {
      complain('plugins must be a list of paths and packages.')
      continue
    }
    for (const found of await componentsOf(name, resolve(folderOf(item.at.file), 'config'))) {
      const fault = typeof found === 'string' ? found : conflictOf(found, owners)
      if (fault !== undefined) complain(`The plugin ${name} cannot be loaded: ${fault}`)
      if (typeof found === 'string' || fault !== undefined) continue
      for (const key of keysOf(found)) owners.set(key, `in ${name}`)
      loaded.push(found)
    }
  }
  return loaded
}

/** Each is a component, or what is wrong. */
async function componentsOf(name: string, from: string): Promise<(ComponentDefinition | string)[]> {
  try {
    const exported = await loadPlugin(name, from)
    if (exported === undefined)
      return ['it has no default export. Write `export default defineProcessor({ … })`.']
    return Array.isArray(exported) ? exported.map(checkDefinition) : [checkDefinition(exported)]
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

function conflictOf(found: ComponentDefinition, owners: ReadonlyMap<string, string>): string | undefined {
  const key = keysOf(found).find(each => owners.has(each))
  return key && `there is a ${key.replace(':', ' ')} already, ${owners.get(key)}. Give it another type.`
}

function keysOf({ kind, type, aliases = [] }: ComponentDefinition): readonly string[] {
  return [type, ...aliases].map(name => `${kind}:${name}`)
}
