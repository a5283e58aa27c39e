import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { CaptureEvent } from '../../flow/events.ts'
import { cannotCapture } from './errors.ts'

const folder = '/run/netns'

/** Keeps events of the named namespaces (`*` in a name is any text), and those that belong to none. No names: keeps all. */
export function namespaceFilter(patterns: readonly string[]): (event: CaptureEvent) => boolean {
  if (patterns.length === 0) return () => true
  const wanted = new Set(
    namesOfNamespaces()
      .filter(name => patterns.some(pattern => matches(pattern, name)))
      .map(name => statSync(join(folder, name)).ino),
  )
  if (wanted.size === 0) {
    throw cannotCapture(`no network namespace under ${folder} is called ${patterns.join(' or ')}`)
  }
  return event => {
    if (event.type !== 'socket_data' && event.type !== 'packet') return true
    return wanted.has(event.netns)
  }
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
