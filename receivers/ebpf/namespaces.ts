import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { cannotCapture } from './errors.ts'

const folder = '/run/netns'

/** Inode numbers of the named network namespaces (`*` in a name is any text). Throws when names are given and none fits. */
export function namespacesOf(patterns: readonly string[]): number[] {
  if (patterns.length === 0) return []
  const found = namesOfNamespaces().filter(name => patterns.some(pattern => matches(pattern, name)))
  if (found.length === 0) {
    throw cannotCapture(`no network namespace under ${folder} is called ${patterns.join(' or ')}`)
  }
  return found.map(name => statSync(join(folder, name)).ino)
}

function namesOfNamespaces(): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}
