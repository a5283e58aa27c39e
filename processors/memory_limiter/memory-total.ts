import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'

/** Where /proc and /sys lie, for tests. */
export interface Roots {
  readonly proc: string
  readonly sys: string
}

/** A cgroup v1 without a limit says nearly 2^63. */
const unlimitedBytes = 2 ** 60

/**
 * Bytes that this process may use: the least limit of its cgroup and those above it (v2: `memory.max`, v1: `memory.limit_in_bytes`), and no
 * more than the machine has.
 */
export function memoryTotal(
  roots: Roots = { proc: '/proc', sys: '/sys' },
  machineBytes = totalmem(),
): number {
  const lines = (read(join(roots.proc, 'self/cgroup')) ?? '').split('\n')
  let least = machineBytes
  for (const line of lines) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    const isV1 = controllers.split(',').includes('memory')
    if (!isV1 && controllers !== '') continue
    const top = join(roots.sys, isV1 ? 'fs/cgroup/memory' : 'fs/cgroup')
    const file = isV1 ? 'memory.limit_in_bytes' : 'memory.max'
    for (const folder of foldersUp(path)) least = Math.min(least, limitIn(join(top, folder, file)))
  }
  return least
}

/** `/a/b` → `/a/b`, `/a`, `/`. In a container the path may name a folder outside; only `/` is there then. */
function foldersUp(path: string): string[] {
  const folders = [path]
  for (let folder = path; folder !== '/' && folder !== '.'; folder = dirname(folder))
    folders.push(dirname(folder))
  return folders
}

function limitIn(file: string): number {
  const text = read(file)?.trim()
  const bytes = text === undefined || text === 'max' ? Infinity : Number(text)
  return bytes > 0 && bytes < unlimitedBytes ? bytes : Infinity
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
