import type { Endpoint, InterfaceEvent, Transport } from './events.ts'

/** What is known of the machine when an exchange has been seen at an interface. */
export interface Surroundings {
  interfaceAt(netns: number, index: number): InterfaceEvent | undefined
  /** Some interface of that namespace has the address. */
  ownsAddress(netns: number, address: string): boolean
  /** A process has that socket in that namespace; undefined: no socket of that namespace was ever seen. */
  hasSocket(netns: number, transport: Transport, local: Endpoint, remote: Endpoint): boolean | undefined
  /** Whom the socket with that end talks to, by what its process knows; of several the latest. */
  remoteOf(netns: number, transport: Transport, local: Endpoint): Endpoint | undefined
  /** A process of this machine has that socket, in whatever namespace. */
  isHere(transport: Transport, local: Endpoint, remote: Endpoint): boolean
}

export interface PacketPath {
  readonly netns: number
  readonly interfaceIndex: number
  readonly transport: Transport
  /** As they stand in the packets here: NAT may have changed them. */
  readonly client: Endpoint
  readonly server: Endpoint
  /** Inside other packets: then this is the node's way of carrying what is a namespace's own at another interface. */
  readonly isTunnelled: boolean
}

export interface Observation {
  readonly point: NetPoint
  /** Where the client meant to go, when a rule of its namespace sent it to a proxy in the same one. */
  readonly originalDestination?: Endpoint
}

export type NetPoint = 'c' | 'c-nd' | 'local' | 'rest' | 's-nd' | 's'

type Ownership = 'no' | 'maybe' | 'yes'

/**
 * Where on its way from client to server an interface saw the packets, by DeepFlow's names (its agent's `get_direction`
 * goes by MAC and IP; here namespaces tell). That a namespace has the address is not enough: the virtual address of a
 * DNAT rule and the outer one of MASQUERADE belong to the router, which has no socket for them.
 */
export function observationPoint(path: PacketPath, surroundings: Surroundings): Observation {
  const originalDestination = detourOf(path, surroundings)
  if (originalDestination !== undefined) return { point: 'local', originalDestination }
  return { point: pointOf(path, surroundings) }
}

function pointOf(path: PacketPath, surroundings: Surroundings): NetPoint {
  const here = ownership(path, path.netns, surroundings)
  const seenFrom = surroundings.interfaceAt(path.netns, path.interfaceIndex)
  const hasPeer = seenFrom !== undefined && seenFrom.peerNetns !== 0 && seenFrom.peerNetns !== path.netns
  const behind = hasPeer && !path.isTunnelled ? ownership(path, seenFrom.peerNetns, surroundings) : nowhere
  for (const enough of ['yes', 'maybe'] as const) {
    const isClient = here.client === enough || here.client === 'yes'
    const isServer = here.server === enough || here.server === 'yes'
    if (isClient && isServer) return 'local'
    if (isClient) return path.isTunnelled ? 'c-nd' : 'c'
    if (isServer) return path.isTunnelled ? 's-nd' : 's'
    if (behind.client === enough) return 'c-nd'
    if (behind.server === enough) return 's-nd'
  }
  return nodeOf(path, seenFrom, surroundings)
}

/**
 * An interface that leads out of the machine (a card, a tunnel): the one end that is a process of this machine has its packets
 * go out or come in there. Where both are, as between virtual machines that are namespaces, it is just on the way.
 */
function nodeOf(
  { transport, client, server }: PacketPath,
  seenAt: InterfaceEvent | undefined,
  surroundings: Surroundings,
): NetPoint {
  if (seenAt === undefined || (seenAt.kind !== '' && !tunnelKinds.has(seenAt.kind))) return 'rest'
  const isClientHere = surroundings.isHere(transport, client, server)
  const isServerHere = surroundings.isHere(transport, server, client)
  if (isClientHere === isServerHere) return 'rest'
  return isClientHere ? 'c-nd' : 's-nd'
}

/**
 * A sidecar's detour: the server's end is a socket here, and so is the client's, but that one believes to talk to somebody
 * else (iptables REDIRECT, or DNAT to an address of the namespace).
 */
function detourOf(
  { netns, transport, client, server }: PacketPath,
  surroundings: Surroundings,
): Endpoint | undefined {
  if (transport !== 'tcp' || surroundings.hasSocket(netns, transport, server, client) !== true)
    return undefined
  const meant = surroundings.remoteOf(netns, transport, client)
  if (meant === undefined || (meant.address === server.address && meant.port === server.port))
    return undefined
  return meant
}

const tunnelKinds = new Set([
  'vxlan',
  'geneve',
  'gre',
  'gretap',
  'ip6gre',
  'ip6gretap',
  'ipip',
  'ip6tnl',
  'sit',
  'erspan',
  'wireguard',
])

/** What the interface is part of, in words. */
export function interfacePlace(
  { kind, masterIndex }: InterfaceEvent,
  master: InterfaceEvent | undefined,
): string {
  if (master?.kind === 'openvswitch' || kind === 'openvswitch') return 'ovs port'
  if (masterIndex !== 0 && (master === undefined || master.kind === 'bridge')) return 'bridge port'
  if (tunnelKinds.has(kind)) return 'tunnel'
  if (kind === 'loopback' || kind === 'bridge' || kind === 'veth') return kind
  return kind === '' ? 'physical' : 'virtual'
}

const nowhere = { client: 'no', server: 'no' } as const

function ownership(
  { transport, client, server }: PacketPath,
  netns: number,
  surroundings: Surroundings,
): { readonly client: Ownership; readonly server: Ownership } {
  const of = (local: Endpoint, remote: Endpoint): Ownership => {
    if (!surroundings.ownsAddress(netns, local.address)) return 'no'
    const hasSocket = surroundings.hasSocket(netns, transport, local, remote)
    if (hasSocket === undefined) return 'maybe'
    return hasSocket ? 'yes' : 'no'
  }
  return { client: of(client, server), server: of(server, client) }
}
