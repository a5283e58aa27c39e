import type { Endpoint, InterfaceEvent, Transport } from './events.ts'

/** What is known of the machine when an exchange has been seen at an interface. */
export interface Surroundings {
  interfaceAt(netns: number, index: number): InterfaceEvent | undefined
  /** Some interface of that namespace has the address. */
  ownsAddress(netns: number, address: string): boolean
  /** A process has that socket in that namespace; undefined: no socket of that namespace was ever seen. */
  hasSocket(netns: number, transport: Transport, local: Endpoint, remote: Endpoint): boolean | undefined
}

export interface PacketPath {
  readonly netns: number
  readonly interfaceIndex: number
  readonly transport: Transport
  /** As they stand in the packets here: NAT may have changed them. */
  readonly client: Endpoint
  readonly server: Endpoint
}

export type NetPoint = 'c' | 'c-nd' | 'local' | 'rest' | 's-nd' | 's'

type Ownership = 'no' | 'maybe' | 'yes'

/**
 * Where on its way from client to server an interface saw the packets, by DeepFlow's names (its agent's `get_direction`
 * goes by MAC and IP; here namespaces tell). That a namespace has the address is not enough: the virtual address of a
 * DNAT rule and the outer one of MASQUERADE belong to the router, which has no socket for them.
 */
export function observationPoint(path: PacketPath, surroundings: Surroundings): NetPoint {
  const here = ownership(path, path.netns, surroundings)
  const seenFrom = surroundings.interfaceAt(path.netns, path.interfaceIndex)
  const hasPeer = seenFrom !== undefined && seenFrom.peerNetns !== 0 && seenFrom.peerNetns !== path.netns
  const behind = hasPeer ? ownership(path, seenFrom.peerNetns, surroundings) : nowhere
  for (const enough of ['yes', 'maybe'] as const) {
    const isClient = here.client === enough || here.client === 'yes'
    const isServer = here.server === enough || here.server === 'yes'
    if (isClient && isServer) return 'local'
    if (isClient) return 'c'
    if (isServer) return 's'
    if (behind.client === enough) return 'c-nd'
    if (behind.server === enough) return 's-nd'
  }
  return 'rest'
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
