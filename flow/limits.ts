/** Bounds of `flow/`. What each refuses is counted in `FlowStats`. */
export interface FlowLimits {
  /** Sockets followed at once; over it the one that was quiet longest is given up. */
  readonly maximumSockets: number
  /** Connections followed at once, over all interfaces. */
  readonly maximumPaths: number
  readonly maximumProcesses: number
  readonly maximumThreads: number
  /** Socket addresses remembered to tell ends of a connection from routers. */
  readonly maximumAddresses: number
  readonly maximumOwnConnections: number
  /** Out-of-order packets that wait for one that is missing, per connection. */
  readonly maximumWaitingPackets: number
  readonly maximumWaitingBytes: number
  /** Retransmissions, drops, resets and the like that are remembered for the exchanges they belong to. */
  readonly maximumNetworkEvents: number
}

export const defaultLimits: FlowLimits = {
  maximumSockets: 20_000,
  maximumPaths: 40_000,
  maximumProcesses: 20_000,
  maximumThreads: 50_000,
  maximumAddresses: 100_000,
  maximumOwnConnections: 4096,
  maximumWaitingPackets: 64,
  maximumWaitingBytes: 256 * 1024,
  maximumNetworkEvents: 4096,
}

/** After so much silence a response without a known end is over. */
export const quietNs = 1_000_000_000n
/** After so much silence a connection is forgotten; what waits for an answer leaves without one. */
export const idleNs = { tcp: 300_000_000_000n, unix: 300_000_000_000n, udp: 15_000_000_000n } as const
/** A missing packet is lost when it has not come after so long. */
export const reorderNs = 500_000_000n
/** Finished NET exchanges wait so long for facts about their surroundings, which come by the same stream. */
export const settleNs = 20_000_000n

/** A map that forgets what was put into it first when it is full. */
export interface BoundedMap<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
  delete(key: Key): void
  readonly size: number
  values(): IterableIterator<Value>
  entries(): IterableIterator<[Key, Value]>
}

export function createBoundedMap<Key, Value>(
  maximum: number,
  onEvict: (value: Value) => void = () => undefined,
): BoundedMap<Key, Value> {
  const map = new Map<Key, Value>()
  return {
    get: key => map.get(key),
    set(key, value) {
      if (map.size >= maximum && !map.has(key)) {
        const [oldest] = map
        if (oldest !== undefined) {
          map.delete(oldest[0])
          onEvict(oldest[1])
        }
      }
      map.set(key, value)
    },
    delete: key => map.delete(key),
    get size() {
      return map.size
    },
    values: () => map.values(),
    entries: () => map.entries(),
  }
}
