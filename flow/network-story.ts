import type { OpenMessage } from './message.ts'
import { createBoundedMap } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import type { Endpoint, NetworkEvent } from './events.ts'
import type { FlowStats } from './stats.ts'

/** Where an exchange was seen: at a socket, or at an interface. */
export interface Sight {
  readonly netns: number
  /** undefined: at the socket itself. */
  readonly interfaceIndex: number | undefined
  /** Whose socket; undefined: an interface. */
  readonly side: 'client' | 'server' | undefined
  readonly client: Endpoint
  readonly server: Endpoint
}

export interface SeenMessages {
  readonly request: OpenMessage
  readonly response: OpenMessage | undefined
  readonly endNs: bigint
}

export interface Story {
  /** What happened during it, in the order of time. */
  readonly events: readonly NetworkEvent[]
  /** µs; undefined: not known. */
  readonly rttUs: number | undefined
  /** When the connection was asked for, and how long that took: for its first exchange. */
  readonly connect: { readonly fromNs: bigint; readonly durationNs: bigint } | undefined
}

/** What happened to connections besides their bytes, and to which exchanges that belongs. */
export interface NetworkStory {
  add(event: NetworkEvent): void
  of(exchange: SeenMessages, sight: Sight): Story
  /** Changes with whatever may be told of exchanges at that sight. */
  watch(sight: Sight): () => number
}

interface Connection {
  /** By the end that measures it: both may be here. */
  readonly rttUs: Map<string, number>
  connect: Story['connect']
  /** Points whose first exchange has been told of the connect. */
  readonly told: Set<number>
  version: number
}

/** Numbers this far apart are another connection's. */
const longestMessage = 2 ** 30

export function createNetworkStory(limits: FlowLimits, stats: FlowStats): NetworkStory {
  const forgotten = (counter: { version: number }): void => void (counter.version = Number.NaN)
  const connections = createBoundedMap<string, Connection>(limits.maximumSockets, forgotten)
  const ends = createBoundedMap<string, { version: number }>(limits.maximumSockets, forgotten)
  /** Rare in a sound network: searched from the newest back to the begin of the exchange. */
  const happened: NetworkEvent[] = []

  function connectionAt(netns: number, one: Endpoint, other: Endpoint): Connection {
    const key = connectionKey(netns, one, other)
    let connection = connections.get(key)
    if (connection === undefined) {
      connection = { rttUs: new Map(), connect: undefined, told: new Set(), version: 0 }
      connections.set(key, connection)
    }
    return connection
  }

  function endAt(end: Endpoint): { version: number } {
    const key = endKey(end)
    let counter = ends.get(key)
    if (counter === undefined) ends.set(key, (counter = { version: 0 }))
    return counter
  }

  function keep(event: NetworkEvent): void {
    endAt(event.source).version++
    endAt(event.destination).version++
    happened.push(event)
    if (happened.length <= limits.maximumNetworkEvents) return
    happened.shift()
    stats.networkEventsForgotten++
  }

  function add(event: NetworkEvent): void {
    const { kind, netns, source, destination, timeNs, value } = event
    if (kind !== 'rtt' && kind !== 'connected') return keep(event)
    const connection = connectionAt(netns, source, destination)
    connection.version++
    if (kind === 'rtt') connection.rttUs.set(endKey(source), Number(value))
    else {
      connection.connect = { fromNs: timeNs - value, durationNs: value }
      connection.told.clear()
    }
  }

  function connectOf(connection: Connection | undefined, { side, interfaceIndex }: Sight): Story['connect'] {
    const point = interfaceIndex ?? -1
    if (connection?.connect === undefined || side === 'server' || connection.told.has(point)) return undefined
    connection.told.add(point)
    return connection.connect
  }

  function of(exchange: SeenMessages, sight: Sight): Story {
    const { netns, client, server, side } = sight
    const connection = connections.get(connectionKey(netns, client, server))
    const connect = connectOf(connection, sight)
    const rtt = (end: Endpoint): number | undefined => connection?.rttUs.get(endKey(end))
    const rttUs =
      side === 'server' ? rtt(server) : side === 'client' ? rtt(client) : (rtt(client) ?? rtt(server))
    const events: NetworkEvent[] = []
    const fromNs = connect?.fromNs ?? exchange.request.firstNs
    // what was never answered did not end with its last byte
    const isOver = ({ timeNs }: NetworkEvent): boolean =>
      exchange.response !== undefined && timeNs > exchange.endNs
    for (let index = happened.length - 1; index >= 0; index--) {
      const event = happened[index]!
      if (event.timeNs < fromNs) break
      if (!isOver(event) && belongs(event, exchange, sight)) events.push(event)
    }
    return { events: events.reverse(), rttUs, connect }
  }

  return {
    add,
    of,
    watch(sight) {
      const connection = connectionAt(sight.netns, sight.client, sight.server)
      const [client, server] = [endAt(sight.client), endAt(sight.server)]
      return () => connection.version + client.version + server.version
    },
  }
}

function belongs(event: NetworkEvent, exchange: SeenMessages, sight: Sight): boolean {
  const { request, response } = exchange
  switch (event.kind) {
    case 'retransmit_syn':
      return isAtSocket(event, sight)
    case 'reset_sent':
    case 'reset_received':
      return isAtSocket(event, sight) && event.timeNs >= request.firstNs
    case 'zero_window':
      if (sight.interfaceIndex !== undefined && sight.interfaceIndex !== event.interfaceIndex) return false
      return isAtSocket(event, sight) && event.timeNs >= request.firstNs
    case 'retransmit':
    case 'drop': {
      const from = senderOf(event, sight)
      if (from === undefined) return false
      if (event.transport === 'udp' || event.length === 0) return true // a datagram, or the connection's begin
      const message = from === 'client' ? request : response
      return message !== undefined && overlaps(event, message) && event.timeNs >= request.firstNs
    }
    default:
      return false
  }
}

/** Translation of addresses leaves one end alone at least, between neighbouring points. */
function senderOf(
  { source, destination }: NetworkEvent,
  { client, server }: Sight,
): 'client' | 'server' | undefined {
  if (isSame(source, client) || isSame(destination, server)) return 'client'
  if (isSame(source, server) || isSame(destination, client)) return 'server'
  return undefined
}

function isAtSocket({ netns, source, destination }: NetworkEvent, sight: Sight): boolean {
  if (netns !== sight.netns) return false
  const { client, server } = sight
  if (isSame(source, client)) return isSame(destination, server)
  return isSame(source, server) && isSame(destination, client)
}

function overlaps({ seq, length }: NetworkEvent, message: OpenMessage): boolean {
  const ahead = (seq - message.seq) | 0
  return ahead < message.lengthBytes && ahead + length > 0 && ahead > -longestMessage
}

function isSame(one: Endpoint, other: Endpoint): boolean {
  return one.port === other.port && one.address === other.address
}

function connectionKey(netns: number, one: Endpoint, other: Endpoint): string {
  const [a, b] = [endKey(one), endKey(other)]
  return a < b ? `${netns} ${a} ${b}` : `${netns} ${b} ${a}`
}

function endKey({ address, port }: Endpoint): string {
  return `${address} ${port}`
}
