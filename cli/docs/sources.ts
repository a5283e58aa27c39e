import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { packageRoot } from '../../core/package-root.ts'

const rooms = [
  'cli',
  'core',
  'exporters',
  'extensions',
  'flow',
  'formats',
  'processors',
  'protocols',
  'receivers',
  'store',
]

/** The text of our own source files, by path. */
export function sources(): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const top = readdirSync(packageRoot())
  for (const room of rooms.filter(each => top.includes(each))) {
    for (const entry of readdirSync(join(packageRoot(), room), { withFileTypes: true, recursive: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
      const path = join(entry.parentPath, entry.name)
      found.set(relative(packageRoot(), path), readFileSync(path, 'utf8'))
    }
  }
  return found
}
