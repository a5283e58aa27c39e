import { names } from '../../model/attribute-names.ts'
import type { Envelope } from '../../model/resource.ts'
import { type SightSpan, timeOf } from './held.ts'

/**
 * Processes that capture saw, by the pid that they have for themselves: in a container that is another than the host's. An SDK
 * tells this pid (`process.pid`), with the host or the container that it believes itself in; only both together prove a process.
 */
export interface ProcessesByPid {
  add(sight: SightSpan): void
  /** `process`: SightSpan.process. */
  remove(process: string): void
  /** The process that made a span with this resource at that time; undefined where none, or more than one, can have. */
  find(resource: Envelope, time: number): string | undefined
  /** false: the resource tells another pid than the process has. */
  canBe(resource: Envelope, process: string): boolean
}

interface Facts {
  readonly process: string
  readonly pid: number
  readonly hostId: string
  readonly hostName: string
  readonly containerId: string
  /** On the scale of `timeOf`. */
  readonly createdAt: number | undefined
}

export function createProcessesByPid(): ProcessesByPid {
  const byPid = new Map<number, Facts[]>()
  const pids = new Map<string, number>()

  return {
    add({ process, resource }) {
      const facts = factsOf(process, resource)
      if (!facts || pids.has(process)) return
      pids.set(process, facts.pid)
      byPid.set(facts.pid, [...(byPid.get(facts.pid) ?? []), facts])
    },
    remove(process) {
      const pid = pids.get(process)
      if (pid === undefined) return
      pids.delete(process)
      const others = (byPid.get(pid) ?? []).filter(facts => facts.process !== process)
      if (others.length > 0) byPid.set(pid, others)
      else byPid.delete(pid)
    },
    canBe(resource, process) {
      const pid = pids.get(process)
      return pid === undefined || (factsOf('', resource)?.pid ?? pid) === pid
    },
    find(resource, time) {
      const said = factsOf('', resource)
      if (!said) return undefined
      const fitting = (byPid.get(said.pid) ?? []).filter(
        facts =>
          isSamePlace(said, facts) &&
          isSameBirth(said, facts) &&
          (facts.createdAt ?? time) <= time + birthErrorNs,
      )
      if (fitting.length > 1 && fitting.some(({ createdAt }) => createdAt === undefined)) return undefined
      // a pid that was used again: the youngest that lived already
      return fitting.sort((a, b) => (b.createdAt ?? 0) - (a.createdAt ?? 0))[0]?.process
    },
  }
}

function factsOf(process: string, resource: Envelope): Facts | undefined {
  const pid = resource.attribute(names.processVirtualPid) ?? resource.attribute(names.processPid)
  if (typeof pid !== 'number' || pid === 0) return undefined
  const createdMs = Date.parse(resource.text(names.processCreationTime))
  return {
    process,
    pid,
    hostId: resource.text(names.hostId),
    hostName: resource.text(names.hostName),
    containerId: resource.text(names.containerId),
    createdAt: Number.isNaN(createdMs) ? undefined : timeOf(BigInt(createdMs) * 1_000_000n),
  }
}

/** The container, where both know it; else the host, by id before name. A container's host name is the start of its id. */
function isSamePlace(said: Facts, seen: Facts): boolean {
  if (said.containerId !== '' && seen.containerId !== '') return said.containerId === seen.containerId
  if (seen.containerId !== '') return isStartOfId(said.hostName, seen.containerId)
  if (said.hostId !== '' && seen.hostId !== '') return sameId(said.hostId, seen.hostId)
  return said.hostName !== '' && said.hostName === seen.hostName
}

function isStartOfId(hostName: string, containerId: string): boolean {
  return /^[0-9a-f]{12}$/.test(hostName) && containerId.startsWith(hostName)
}

/** SDKs write a machine id with dashes or without. */
function sameId(a: string, b: string): boolean {
  return a.replaceAll('-', '').toLowerCase() === b.replaceAll('-', '').toLowerCase()
}

function isSameBirth(said: Facts, seen: Facts): boolean {
  if (said.createdAt === undefined || seen.createdAt === undefined) return true
  return Math.abs(said.createdAt - seen.createdAt) <= birthErrorNs
}

/** The kernel counts a process's start in ticks, an SDK reads its own clock. */
const birthErrorNs = 1e9
