import { names } from '../model/attribute-names.ts'
import { createResource } from '../model/resource.ts'
import type { Envelope } from '../model/resource.ts'
import type { ClockMap } from './clock-map.ts'
import type { ProcessEvent } from './events.ts'
import type { Facts } from './facts.ts'
import { createBoundedMap } from './limits.ts'
import { redactCommandLine } from './redact-command-line.ts'
import { containerIdOf, executableName, podUidOf } from './service-name.ts'

/** One Resource object per process and per service at an interface: batches group by identity. */
export interface Resources {
  ofProcess(pid: number): Envelope
  /** For packets at an interface of that namespace. */
  ofNamespace(netns: number): Envelope
}

const maximumResources = 10_000

export function createResources(facts: Facts, clock: ClockMap): Resources {
  const ofKnown = new WeakMap<ProcessEvent, Envelope>()
  const ofUnknown = createBoundedMap<number, Envelope>(maximumResources)
  const ofService = createBoundedMap<string, Envelope>(maximumResources)

  function hostAttributes(): [string, string][] {
    const { host } = facts
    const attributes: [string, string][] = [
      [names.hostName, host?.hostName ?? ''],
      [names.hostId, host?.hostId ?? ''],
    ]
    return attributes.filter(([, value]) => value !== '')
  }

  function createOfProcess(process: ProcessEvent): Envelope {
    const offset = clock.offsetAt(process.startTimeNs)
    const texts: [string, string][] = [
      [names.serviceName, facts.serviceNameOf(process)],
      ...hostAttributes(),
      [names.processExecutableName, executableName(process)],
      [names.processExecutablePath, process.executable],
      [names.processCreationTime, offset === undefined ? '' : isoTime(process.startTimeNs + offset)],
      [names.processCommandLine, redactCommandLine(process.commandLine)],
      [names.containerId, containerIdOf(process.cgroup)],
      [names.podUid, podUidOf(process.cgroup)],
    ]
    const isApart = process.namespacePid !== 0 && process.namespacePid !== process.pid
    return createResource([
      ...texts.filter(([, value]) => value !== ''),
      [names.processPid, process.pid],
      ...(isApart ? [[names.processVirtualPid, process.namespacePid] as const] : []),
    ])
  }

  return {
    ofProcess(pid) {
      const process = facts.process(pid)
      const known = process === undefined ? ofUnknown.get(pid) : ofKnown.get(process)
      if (known !== undefined) return known
      if (process !== undefined) {
        const created = createOfProcess(process)
        ofKnown.set(process, created)
        return created
      }
      const created = createResource([
        [names.serviceName, 'unknown_service'],
        ...hostAttributes(),
        [names.processPid, pid],
      ])
      ofUnknown.set(pid, created)
      return created
    },
    ofNamespace(netns) {
      const service = facts.serviceOf(netns) || (facts.host?.hostName ?? 'unknown_service')
      let resource = ofService.get(service)
      if (resource === undefined) {
        resource = createResource([[names.serviceName, service], ...hostAttributes()])
        ofService.set(service, resource)
      }
      return resource
    },
  }
}

function isoTime(unixNs: bigint): string {
  return new Date(Number(unixNs / 1_000_000n)).toISOString()
}
