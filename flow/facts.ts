import type {
  Endpoint,
  HostEvent,
  InterfaceEvent,
  InterfaceGoneEvent,
  ProcessEvent,
  Transport,
} from './events.ts'
import { createBoundedMap } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import type { Surroundings } from './observation-point.ts'
import { containerIdOf, podUidOf, serviceNameOf } from './service-name.ts'
import type { ServiceNameRule } from './service-name.ts'

/** What capture has said of the machine: the host, its processes, namespaces and interfaces. */
export interface Facts extends Surroundings {
  readonly host: HostEvent | undefined
  setHost(event: HostEvent): void
  setProcess(event: ProcessEvent): void
  /** Its facts stay: exchanges of it may still finish. */
  endProcess(pid: number): void
  process(pid: number): ProcessEvent | undefined
  /** It answers on that port. The first such port may name it. */
  serves(pid: number, port: number): void
  serviceNameOf(process: ProcessEvent): string
  setInterface(event: InterfaceEvent): void
  removeInterface(event: InterfaceGoneEvent): void
  addSocket(netns: number, transport: Transport, local: Endpoint, remote: Endpoint): void
  /** The one service whose processes have sockets in that namespace; '' when there are several, none, or it is the host's. */
  serviceOf(netns: number): string
  /** The one pod, container or program that the namespace belongs to; '' when there are several, none, or it is the host's. */
  ownerOf(netns: number): string
}

/** Interfaces that went are still wanted for exchanges that were just seen on them. */
const rememberedGone = 256

export function createFacts(limits: FlowLimits, rules?: readonly ServiceNameRule[]): Facts {
  const servedPorts = createBoundedMap<number, number>(limits.maximumProcesses)
  let host: HostEvent | undefined
  const processes = createBoundedMap<number, ProcessEvent>(limits.maximumProcesses)
  const namespaces = new Map<number, Map<number, InterfaceEvent>>()
  const gone: InterfaceEvent[] = []
  const services = new Map<number, Services>()
  const owners = new Map<number, Services>()
  const sockets = createBoundedMap<string, true>(limits.maximumAddresses)
  const remotes = createBoundedMap<string, Endpoint>(limits.maximumAddresses)
  const socketsHere = createBoundedMap<string, true>(limits.maximumAddresses)
  const namespacesWithSockets = new Set<number>()

  function forget(event: InterfaceEvent): void {
    const interfaces = namespaces.get(event.netns)
    if (interfaces?.get(event.index) !== event) return // replaced since
    interfaces.delete(event.index)
    if (interfaces.size > 0) return
    namespaces.delete(event.netns)
    services.delete(event.netns)
    owners.delete(event.netns)
    namespacesWithSockets.delete(event.netns)
  }

  return {
    get host() {
      return host
    },
    setHost(event) {
      host = event
    },
    setProcess(event) {
      if (processes.get(event.pid)?.startTimeNs === event.startTimeNs) return
      processes.set(event.pid, event)
      servedPorts.delete(event.pid)
      servicesIn(services, event.netns).add(serviceNameOf(event, rules))
      servicesIn(owners, event.netns).add(ownerNameOf(event))
    },
    endProcess(pid) {
      const process = processes.get(pid)
      if (process === undefined) return
      services.get(process.netns)?.remove(serviceNameOf(process, rules))
      owners.get(process.netns)?.remove(ownerNameOf(process))
    },
    process: pid => processes.get(pid),
    serves(pid, port) {
      if (servedPorts.get(pid) === undefined) servedPorts.set(pid, port)
    },
    serviceNameOf: process => serviceNameOf(process, rules, servedPorts.get(process.pid)),
    setInterface(event) {
      for (const old of gone.filter(each => each.netns === event.netns)) {
        gone.splice(gone.indexOf(old), 1)
        forget(old)
      }
      let interfaces = namespaces.get(event.netns)
      if (interfaces === undefined)
        namespaces.set(event.netns, (interfaces = new Map<number, InterfaceEvent>()))
      interfaces.set(event.index, event)
    },
    removeInterface({ netns, index }) {
      const event = namespaces.get(netns)?.get(index)
      if (event === undefined) return
      gone.push(event)
      if (gone.length > rememberedGone) forget(gone.shift()!)
    },
    interfaceAt: (netns, index) => namespaces.get(netns)?.get(index),
    ownsAddress(netns, address) {
      for (const { addresses } of namespaces.get(netns)?.values() ?? []) {
        if (addresses.includes(address)) return true
      }
      return false
    },
    addSocket(netns, transport, local, remote) {
      namespacesWithSockets.add(netns)
      sockets.set(socketKey(netns, transport, local, remote), true)
      socketsHere.set(socketKey(0, transport, local, remote), true)
      remotes.set(endKey(netns, transport, local), remote)
    },
    remoteOf: (netns, transport, local) => remotes.get(endKey(netns, transport, local)),
    isHere: (transport, local, remote) => socketsHere.get(socketKey(0, transport, local, remote)) === true,
    hasSocket(netns, transport, local, remote) {
      if (!namespacesWithSockets.has(netns)) return undefined
      if (sockets.get(socketKey(netns, transport, local, remote)) === true) return true
      // an unconnected UDP socket may know only its port
      if (transport !== 'udp') return false
      return wildcards.some(
        address => sockets.get(socketKey(netns, transport, { ...local, address }, remote)) === true,
      )
    },
    serviceOf(netns) {
      return netns === host?.netns ? '' : (services.get(netns)?.only() ?? '')
    },
    ownerOf(netns) {
      return netns === host?.netns ? '' : (owners.get(netns)?.only() ?? '')
    },
  }
}

function servicesIn(namespaces: Map<number, Services>, netns: number): Services {
  let known = namespaces.get(netns)
  if (known === undefined) namespaces.set(netns, (known = createServices()))
  return known
}

/** A pod's containers share its namespace, a container's programs its. */
function ownerNameOf(process: ProcessEvent): string {
  const pod = podUidOf(process.cgroup)
  if (pod !== '') return `pod ${pod}`
  const container = containerIdOf(process.cgroup)
  return container === '' ? serviceNameOf(process) : `container ${container}`
}

/** Names of one namespace, by how many of their processes live. */
interface Services {
  add(name: string): void
  remove(name: string): void
  only(): string
}

const maximumServices = 8

function createServices(): Services {
  const living = new Map<string, number>()
  return {
    add(name) {
      for (const [known, count] of living) if (count <= 0) living.delete(known)
      if (living.size < maximumServices || living.has(name)) living.set(name, (living.get(name) ?? 0) + 1)
    },
    remove(name) {
      const count = living.get(name)
      if (count !== undefined) living.set(name, count - 1)
    },
    only() {
      const [first, second] = living.keys()
      return second === undefined ? (first ?? '') : ''
    },
  }
}

const wildcards = ['0.0.0.0', '::']

function socketKey(netns: number, transport: Transport, local: Endpoint, remote: Endpoint): string {
  return `${netns} ${transport} ${local.address} ${local.port} ${remote.address} ${remote.port}`
}

function endKey(netns: number, transport: Transport, local: Endpoint): string {
  return `${netns} ${transport} ${local.address} ${local.port}`
}
