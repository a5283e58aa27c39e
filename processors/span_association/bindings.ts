/**
 * Which processes a resource is, by proof only (design §8, "Whose span is it?"), never by service name. A resource can
 * be several processes (workers that share a configuration). Bounded: the oldest resource is forgotten.
 */
export interface Bindings {
  bind(resourceKey: string, process: string): void
  processesOf(resourceKey: string): ReadonlySet<string>
  resourcesOf(process: string): ReadonlySet<string>
}

const limit = 10_000
const none: ReadonlySet<string> = new Set()

export function createBindings(): Bindings {
  const processes = new Map<string, Set<string>>()
  const resources = new Map<string, Set<string>>()

  function forgetOldest(): void {
    const [oldest] = processes.keys()
    if (oldest === undefined) return
    for (const process of processes.get(oldest) ?? none) {
      const known = resources.get(process)
      if (known?.delete(oldest) && known.size === 0) resources.delete(process)
    }
    processes.delete(oldest)
  }

  return {
    bind(resourceKey, process) {
      if (processes.get(resourceKey)?.has(process)) return
      if (processes.size >= limit && !processes.has(resourceKey)) forgetOldest()
      add(processes, resourceKey, process)
      add(resources, process, resourceKey)
    },
    processesOf: resourceKey => processes.get(resourceKey) ?? none,
    resourcesOf: process => resources.get(process) ?? none,
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key)
  if (known) known.add(value)
  else map.set(key, new Set([value]))
}
