import { resolve } from 'node:path'
import { systemClock } from '../core/clock.ts'
import { parseDuration, parseSize } from '../core/units.ts'
import { dropPrivileges, futureOwner } from '../core/privileges.ts'
import { packageRoot } from '../core/package-root.ts'
import { namespacesOf } from '../receivers/ebpf/namespaces.ts'
import { startProbe, type FilterLists } from '../receivers/ebpf/probe.ts'
import { badOption } from './record/errors.ts'
import { createProgress } from './record/progress.ts'

/** As commander gives them: texts as typed. */
export interface RecordOptions {
  readonly output: string
  readonly duration?: string
  readonly maxSize: string
  readonly maxPayload: string
  readonly net: boolean
  readonly unix: boolean
  readonly udpPort?: readonly string[]
  readonly port?: readonly string[]
  readonly excludePort?: readonly string[]
  readonly pid?: readonly string[]
  readonly cgroup?: readonly string[]
  readonly cidr?: readonly string[]
  readonly netns?: readonly string[]
  readonly sysTier: 'auto' | 'sock' | 'syscall'
}

/**
 * `fullspan record`: what the probe says, into a file that the `ebpf` receiver replays. Ends at the duration, the size, SIGINT
 * or SIGTERM, always with a whole file. Throws EBPF_CANNOT_RECORD, EBPF_CANNOT_CAPTURE, RECORD_BAD_OPTION.
 */
export async function record(options: RecordOptions): Promise<void> {
  const durationMs = options.duration === undefined ? undefined : parseDuration(options.duration)
  const maxBytes = parseSize(options.maxSize)
  if (options.duration !== undefined && !durationMs)
    throw badOption('--duration', options.duration, 'such as 30s')
  if (maxBytes === undefined) throw badOption('--max-size', options.maxSize, 'such as 64MiB')
  const end = createEnd()
  const progress = createProgress(process.stderr)
  const probe = startProbe({
    packageRoot: packageRoot(),
    ownPids: [process.pid],
    ownPorts: [],
    udpPorts: ports('--udp-port', options.udpPort ?? ['53']),
    maxPayloadBytes: integer('--max-payload', options.maxPayload, [32, 8192]),
    hasNet: options.net,
    hasUnix: options.unix,
    sysTier: options.sysTier,
    filter: {
      include: includedBy(options),
      exclude: { ports: ports('--exclude-port', options.excludePort) },
    },
    recording: { path: resolve(options.output), maxBytes, onFull: end.now },
    onMessage: progress.say,
  })
  const signals = ['SIGINT', 'SIGTERM'] as const
  const onSignal = (): void => end.now('')
  for (const signal of signals) process.on(signal, onSignal)
  try {
    await probe.started
    const owner = futureOwner('nobody')
    if (owner) dropPrivileges(owner)
    const over = new Promise<void>((done, failed) => {
      probe.events$.subscribe({ next: progress.see, error: failed, complete: done })
    })
    if (durationMs !== undefined) systemClock.after(durationMs, () => end.now(''))
    const reason = await Promise.race([end.reached, over.then(() => '')])
    await probe.stop()
    await over
    progress.end(`${options.output}: ${progress.summary()}${reason === '' ? '' : `; ended early: ${reason}`}`)
  } finally {
    progress.clear()
    await probe.stop()
    for (const signal of signals) process.off(signal, onSignal)
  }
}

/** The first reason to end counts. */
function createEnd(): { readonly reached: Promise<string>; now(reason: string): void } {
  let now: (reason: string) => void = () => undefined
  const reached = new Promise<string>(resolve => (now = resolve))
  return { reached, now: reason => now(reason) }
}

function includedBy(options: RecordOptions): FilterLists {
  return {
    ports: ports('--port', options.port),
    pids: (options.pid ?? []).map(pid => integer('--pid', pid, [1, 4_194_304])),
    cgroups: options.cgroup ?? [],
    cidrs: options.cidr ?? [],
    namespaces: namespacesOf(options.netns ?? []),
  }
}

function ports(option: string, texts: readonly string[] = []): number[] {
  return texts.map(text => integer(option, text, [1, 65_535]))
}

function integer(option: string, text: string, [least, most]: readonly [number, number]): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw badOption(option, text, `a whole number from ${least} to ${most}`)
}
