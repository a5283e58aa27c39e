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

/**
 * OTEL_SERVICE_NAME, else the name by which the program was called (one executable may be several: redis-server is a link to
 * redis-check-rdb), else the executable; of an interpreter the program that it runs: `node /srv/orders.js` is `orders`.
 */
export function serviceNameOf(process: ProcessEvent): string {
  if (process.serviceName !== '') return process.serviceName
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

/** Docker, containerd, CRI-O and Podman end the cgroup's path with the container's id of 64 hex digits. */
export function containerIdOf(cgroup: string): string {
  return /([0-9a-f]{64})(?:\.scope)?(?:\/[^/]*)?$/.exec(cgroup)?.[1] ?? ''
}

/** Kubernetes: `…/pod<uid>/…` (cgroupfs) or `…-pod<uid with underscores>.slice/…` (systemd). */
export function podUidOf(cgroup: string): string {
  const uid =
    /[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:\/|$)/.exec(cgroup)?.[1] ?? ''
  return uid.replaceAll('_', '-')
}
