import type { Peers } from './component.ts'

const maxEndpoints = 65_536

/** Which process is at the other end of a connection. Past the limit the entries set longest ago go first. */
export function createPeers(): Peers {
  const processes = new Map<string, string>()
  return {
    get: endpoint => processes.get(endpoint),
    set(endpoint, processKey) {
      processes.delete(endpoint)
      processes.set(endpoint, processKey)
      if (processes.size <= maxEndpoints) return
      const oldest = processes.keys().next()
      if (!oldest.done) processes.delete(oldest.value)
    },
  }
}
