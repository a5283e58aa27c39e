import type { Protocol } from '../protocols/protocol.ts'
import { createConversation } from './conversation.ts'
import type { Conversation, Direction, SeenExchange } from './conversation.ts'
import type { Endpoint, OwnConnectionEvent, PacketEvent, Tunnel } from './events.ts'
import { createBoundedMap, idleNs, quietNs } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import { packetMark } from './message.ts'
import { createReassembly } from './reassembly.ts'
import type { Reassembly, Segment } from './reassembly.ts'
import type { FlowStats } from './stats.ts'

/** One connection at one interface. `ends[0]` sends direction 0. */
export interface Path {
  readonly netns: number
  readonly interfaceIndex: number
  readonly transport: 'tcp' | 'udp'
  readonly ends: readonly [Endpoint, Endpoint]
  /** Around its packets here; its source is on the side of `ends[0]`. */
  readonly tunnel: Tunnel | undefined
}

interface OpenPath extends Path {
  conversation: Conversation
  reassembly: Reassembly | undefined
  /** Which way each direction was first seen to go. On `lo` and on routers a packet passes an interface both ways. */
  readonly ways: [PacketEvent['direction'] | undefined, PacketEvent['direction'] | undefined]
  lastNs: bigint
  isQuiet: boolean
}

/** NET: packets at interfaces become exchanges, once per interface. */
export interface Paths {
  push(event: PacketEvent): void
  /** A connection of Fullspan's own: not traced. */
  exclude(event: OwnConnectionEvent): void
  gap(): void
  /** Gives up packets that are missing for too long. Cheap when none is. */
  advance(nowNs: bigint): void
  /** Once a second or so of event time. */
  sweep(nowNs: bigint): void
  flush(): void
  readonly size: number
}

export interface PathsOptions {
  readonly limits: FlowLimits
  readonly stats: FlowStats
  readonly protocols: readonly Protocol[]
  readonly onExchange: (exchange: SeenExchange, path: Path) => void
}

const nothing = new Uint8Array(0)
/** What speaks no known protocol is forgotten sooner: its ports may be used again. */
const unknownIdleNs = 15_000_000_000n

export function createPaths(options: PathsOptions): Paths {
  const { limits, stats } = options
  const own = createBoundedMap<string, true>(limits.maximumOwnConnections)
  const gapped = new Set<OpenPath>()
  const paths = createBoundedMap<string, OpenPath>(limits.maximumPaths, path => {
    stats.pathsEvicted++
    path.conversation.close()
    gapped.delete(path)
  })

  function push(event: PacketEvent): void {
    const source = `${event.source.address} ${event.source.port}`
    const destination = `${event.destination.address} ${event.destination.port}`
    const isFirst = source < destination
    const ends = isFirst ? `${source} ${destination}` : `${destination} ${source}`
    if (own.size > 0 && own.get(ends) === true) {
      stats.eventsIgnored.own_connection++
      return
    }
    const key = `${event.netns} ${event.interfaceIndex} ${event.transport} ${ends}${tunnelKey(event.tunnel)}`
    let path = paths.get(key)
    if (path === undefined) {
      path = openPath(event, isFirst)
      paths.set(key, path)
    }
    if (path.conversation.state() === 'unknown') {
      path.lastNs = event.timeNs
      stats.eventsIgnored.unknown_protocol++
      stats.unknownBytes += event.length
      return
    }
    if (event.timeNs - path.lastNs > quietNs && path.lastNs !== 0n) path.conversation.quiet()
    path.lastNs = event.timeNs
    path.isQuiet = false
    take(path, event, isFirst ? 0 : 1)
  }

  function take(path: OpenPath, event: PacketEvent, direction: Direction): void {
    const way = (path.ways[direction] ??= event.direction)
    const isTransmit = event.direction === 'transmit'
    if (path.reassembly === undefined) {
      if (way !== event.direction) {
        stats.eventsIgnored.loopback_copy++
        return
      }
      stats.eventsUsed++
      path.conversation.push(direction, packetMark(event.timeNs, 0, isTransmit), event.payload, event.length)
      return
    }
    const { timeNs, seq, length, payload } = event
    const fate = path.reassembly.push({ direction, timeNs, seq, length, payload, isTransmit })
    if (path.reassembly.waiting() > 0) gapped.add(path)
    if (fate === 'taken') stats.eventsUsed++
    else if (way !== event.direction) stats.eventsIgnored.loopback_copy++
    else {
      stats.eventsIgnored.seen_before++
      stats.retransmissions++
      path.conversation.retransmit()
    }
  }

  function openPath(event: PacketEvent, isFirst: boolean): OpenPath {
    const { netns, interfaceIndex, transport, source, destination } = event
    const converse = (): Conversation =>
      createConversation({
        transport,
        protocols: options.protocols,
        speakerOf0: undefined,
        isLate: false,
        onExchange: exchange => options.onExchange(exchange, path),
      })
    const path: OpenPath = {
      netns,
      interfaceIndex,
      transport,
      ends: isFirst ? [source, destination] : [destination, source],
      tunnel: event.tunnel && (isFirst ? event.tunnel : turned(event.tunnel)),
      conversation: converse(),
      reassembly: undefined,
      ways: [undefined, undefined],
      lastNs: 0n,
      isQuiet: false,
    }
    if (transport === 'tcp') path.reassembly = reassemble(path, converse)
    return path
  }

  function reassemble(path: OpenPath, converse: () => Conversation): Reassembly {
    const mark = ({ timeNs, isTransmit }: Segment, seq: number): ReturnType<typeof packetMark> =>
      packetMark(timeNs, seq, isTransmit)
    return createReassembly(
      {
        deliver(segment) {
          const { direction, seq, payload, length } = segment
          path.conversation.push(direction, mark(segment, seq), payload, length)
        },
        lose(direction, length, before) {
          path.conversation.lose()
          path.conversation.push(direction, mark(before, (before.seq - length) >>> 0), nothing, length)
        },
        restart() {
          path.conversation.close()
          path.conversation = converse()
        },
      },
      limits,
    )
  }

  return {
    push,
    exclude({ local, remote }) {
      const ends = [`${local.address} ${local.port}`, `${remote.address} ${remote.port}`].sort()
      own.set(ends.join(' '), true)
    },
    gap() {
      for (const path of paths.values()) path.conversation.gap()
    },
    advance(nowNs) {
      for (const path of gapped) {
        path.reassembly?.advance(nowNs)
        if (path.reassembly?.waiting() === 0) gapped.delete(path)
      }
    },
    sweep(nowNs) {
      for (const [key, path] of paths.entries()) {
        const silence = nowNs - path.lastNs
        if (silence > quietNs && !path.isQuiet) {
          path.isQuiet = true
          path.conversation.quiet()
        }
        const isDecoding = path.conversation.state() === 'decoding'
        if (silence <= (isDecoding ? idleNs[path.transport] : unknownIdleNs)) continue
        path.conversation.close()
        paths.delete(key)
        gapped.delete(path)
      }
    },
    flush() {
      for (const path of paths.values()) {
        path.reassembly?.advance(path.lastNs + 3_600_000_000_000n)
        path.conversation.close()
      }
    },
    get size() {
      return paths.size
    },
  }
}

function turned(tunnel: Tunnel): Tunnel {
  return { ...tunnel, source: tunnel.destination, destination: tunnel.source }
}

/** One interface may carry the same addresses in several tunnels. */
function tunnelKey(tunnel: Tunnel | undefined): string {
  return tunnel === undefined ? '' : ` ${tunnel.type} ${tunnel.id ?? ''}`
}
