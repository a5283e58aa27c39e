import type { ProcessEvent } from './events.ts'

const interpreters =
  /^(?:node(?:js)?|deno|bun|python[\d.]*|pypy[\d.]*|ruby[\d.]*|perl[\d.]*|php[\d.]*|java|bash|dash|sh)$/
/** Options whose value stands behind them and is not the program. */
const optionsWithValue = new Set([
  '-r',
  '--require',
  '--import',
  '--loader',
  '-W',
  '-X',
  '-cp',
  '-classpath',
  '--class-path',
])

/** Where a service's name may come from. */
export const serviceNameRules = ['environment', 'systemd_unit', 'container', 'executable', 'port'] as const
export type ServiceNameRule = (typeof serviceNameRules)[number]

/** A unit may hold many programs (a session's, a runner's): it names them only where the config says so. */
export const defaultServiceNameRules: readonly ServiceNameRule[] = ['environment', 'executable']

/** The first rule that gives a name. `port` is the one that the process was first seen to serve; 0: none. */
export function serviceNameOf(process: ProcessEvent, rules = defaultServiceNameRules, port = 0): string {
  for (const rule of rules) {
    const name = nameBy[rule](process, port)
    if (name !== '') return name
  }
  return programNameOf(process)
}

const nameBy: Readonly<Record<ServiceNameRule, (process: ProcessEvent, port: number) => string>> = {
  environment: process => process.serviceName,
  systemd_unit: process => systemdUnitOf(process.cgroup),
  container: process => containerIdOf(process.cgroup).slice(0, shortContainerId),
  executable: process => programNameOf(process),
  port: (_, port) => (port === 0 ? '' : `port-${port}`),
}

/** As `docker ps` shows it, and a container's host name. */
const shortContainerId = 12

/**
 * The name by which the program was called (one executable may be several: redis-server is a link to
 * redis-check-rdb), else the executable; of an interpreter the program that it runs: `node /srv/orders.js` is `orders`.
 */
function programNameOf(process: ProcessEvent): string {
  const called = baseName(/^\S*/.exec(process.commandLine)?.[0] ?? '')
  const isCalledSo = called !== '' && called.slice(0, longestComm) === process.name
  const executable = isCalledSo ? called : executableName(process)
  if (!interpreters.test(executable)) return executable
  return programName(process.commandLine) || executable
}

/** The kernel cuts `comm` there (TASK_COMM_LEN − 1). */
const longestComm = 15

export function executableName({ executable, name }: ProcessEvent): string {
  return baseName(executable.replace(/ \(deleted\)$/, '')) || name
}

function programName(commandLine: string): string {
  const words = commandLine.split(/\s+/).slice(1)
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!
    if (word === '-c' || word === '-e' || word === '-p' || word === '--eval') return ''
    if (word === '-m') return words[index + 1] ?? '' // python3 -m http.server
    if (word === '-jar') return stem(words[index + 1] ?? '')
    if (optionsWithValue.has(word)) index++
    else if (!word.startsWith('-')) return stem(word)
  }
  return ''
}

function stem(path: string): string {
  return baseName(path).replace(/\.(?:[cm]?[jt]s|py|rb|pl|php|jar|sh)$/, '')
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/**
 * The id of 64 hex digits in the path: `/docker/ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `kubepods-…:cri-containerd:ID`,
 * `crio-ID.scope`, `libpod-ID.scope/container`, whatever stands below it. A container's monitor (`libpod-conmon-ID.scope`) is
 * outside.
 */
export function containerIdOf(cgroup: string): string {
  return /.*(?:^|[/:-])(?<!conmon-)([0-9a-f]{64})(?:\.scope)?(?:\/|$)/.exec(cgroup)?.[1] ?? ''
}

/**
 * Kubernetes: `…/pod<uid>/…` (cgroupfs) or `…-pod<uid with underscores>.slice` (systemd); of a static pod the uid is 32 hex
 * digits.
 */
export function podUidOf(cgroup: string): string {
  const uid =
    /[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?:[/:]|$)/.exec(
      cgroup,
    )?.[1]
  return uid?.replaceAll('_', '-') ?? ''
}

/** `/system.slice/orders@blue.service` is `orders@blue`; a login's or a container's processes have none. */
export function systemdUnitOf(cgroup: string): string {
  if (containerIdOf(cgroup) !== '') return ''
  const units = [...cgroup.matchAll(/\/([^/]+)\.service(?=\/|$)/g)].map(([, unit = '']) => unit)
  const unit = units.filter(each => !/^user@\d+$/.test(each)).at(-1) ?? ''
  return unit.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
