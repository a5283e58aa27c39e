import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Observable, type Subscriber } from 'rxjs'
import type { Advice, CaptureEvent } from '../../flow/events.ts'
import { cannotCapture, captureEnded } from './errors.ts'
import * as layout from './layout.ts'
import { openRecorder, type Recorder, type RecorderOptions } from './recording.ts'
import { createRecordDecoder } from './records.ts'

export interface ProbeOptions {
  /** The directory that holds `bpf/build/fullspan-probe`. */
  readonly packageRoot: string
  /** Processes of Fullspan, besides the probe's: at least `process.pid`. Their traffic is left out. */
  readonly ownPids: readonly number[]
  /** Ports that Fullspan listens on, in whatever namespace. */
  readonly ownPorts: readonly number[]
  /** Datagrams from and to these ports are captured. */
  readonly udpPorts: readonly number[]
  /** Captured head of each send, receive and packet, in bytes: 32 to 8192. */
  readonly maxPayloadBytes: number
  /** Buffer between the kernel and the probe: a power of two, default 16 MiB. What finds no room is counted (`ring_full`). */
  readonly ringBytes?: number | undefined
  /** `false`: system calls only. */
  readonly hasNet: boolean
  /** `false`: no Unix sockets. */
  readonly hasUnix?: boolean
  /** `false`: TLS libraries are left alone, encrypted connections stay so. */
  readonly hasTls?: boolean
  /** How system calls are seen: `sock` takes kernel 6.3, `syscall` does on older ones. Default: the best there is. */
  readonly sysTier?: 'auto' | 'sock' | 'syscall'
  /** How packets are seen: `tracepoint` takes kernel 6.12, `packet_socket` does on older ones. Default: the best there is. */
  readonly netTier?: 'auto' | 'tracepoint' | 'packet_socket'
  /** What tells when a send began: `locked` takes kernel 6.16. Default: the best there is. */
  readonly sendStart?: 'auto' | 'locked' | 'enter' | 'packet'
  readonly filter?: ProbeFilter | undefined
  readonly budget?: ProbeBudget | undefined
  /** Where the raw stream is recorded to, and how much of it at most. */
  readonly recording?: RecorderOptions | undefined
  /** A line that the probe said on standard error while running (for example that it started capturing again). */
  readonly onMessage: (line: string) => void
}

/** What each list names is kept, or left out; an empty list says nothing. Exclusion wins. */
export interface FilterLists {
  readonly ports?: readonly number[]
  /** Inode numbers of network namespaces. */
  readonly namespaces?: readonly number[]
  /** Addresses of either end: `10.0.0.0/8`, `fd00::1`. */
  readonly cidrs?: readonly string[]
  /** Of processes: system calls only. */
  readonly pids?: readonly number[]
  /** Paths of control groups, those below them included: system calls only. */
  readonly cgroups?: readonly string[]
}

export interface ProbeFilter {
  readonly include: FilterLists
  readonly exclude: FilterLists
}

export interface ProbeBudget {
  /** Of one processor, for BPF programs, probe and `ownPids` together. */
  readonly maxCpuPercent?: number | undefined
  readonly maxEventsPerSecond?: number | undefined
}

export interface Probe {
  /**
   * Events as they come; one subscriber, and what came before it subscribed is kept for it. Errors with EBPF_CAPTURE_ENDED
   * when the probe ends by itself, EBPF_BROKEN_STREAM when it speaks nonsense; completes after `stop`.
   */
  readonly events$: Observable<CaptureEvent[]>
  /** Settles when capture runs, or rejects with EBPF_CANNOT_CAPTURE. Nothing needs privileges after it. */
  readonly started: Promise<void>
  /** From the connections' next events on. */
  advise(advice: readonly Advice[]): void
  /** Takes what was seen until now, ends the probe and waits until it is gone. */
  stop(): Promise<void>
}

/** The probe ends by itself when its socket is shut down; after this many ms the socket is closed under it. */
const stopPatienceMs = 5000

/** Starts the probe, whose supervisor restarts what captures: it ends only on `stop`, or with this process. */
export const startProbe = (options: ProbeOptions): Probe => {
  const recorder =
    options.recording &&
    openRecorder({ ...options.recording, onFull: options.recording.onFull ?? options.onMessage })
  const child = spawnProbe(options)
  const socket = socketOf(child)
  const stream = createStream(socket, recorder)
  const lastLine = relayMessages(child, options.onMessage)
  const ending: Ending = { isStopping: false }
  const gone = new Promise<void>(resolve =>
    child.once('close', () => resolve()).once('error', () => resolve()),
  )
  const started = new Promise<void>((resolve, reject) => {
    stream.onFirst(resolve)
    child.once('error', cause => reject(cannotCapture(`cannot run the probe: ${cause.message}`, cause)))
    child.once('close', (code, signal) => {
      const reason =
        signal === null
          ? (lastLine() ?? `the probe ended with code ${code ?? '?'}`)
          : `the probe was ended by ${signal}`
      reject(cannotCapture(reason))
      stream.end(ending.isStopping ? undefined : captureEnded(reason))
    })
  })
  started.catch(() => undefined) // who does not ask learns it from events$
  return speakOver(socket, { stream, started, gone, ending })
}

/**
 * The probe behind a Unix socket (systemd's fullspan-probe.socket starts it): its unit says what is captured. `stop` hangs up,
 * which ends it.
 */
export const connectProbe = (
  path: string,
  { recording, onMessage }: Pick<ProbeOptions, 'recording' | 'onMessage'>,
): Probe => {
  const recorder = recording && openRecorder({ ...recording, onFull: recording.onFull ?? onMessage })
  const socket = connect(path)
  const stream = createStream(socket, recorder)
  const ending: Ending = { isStopping: false }
  const gone = new Promise<void>(resolve => socket.once('close', () => resolve()))
  const started = new Promise<void>((resolve, reject) => {
    stream.onFirst(resolve)
    socket.once('error', cause => reject(cannotCapture(`no probe at ${path}: ${cause.message}`, cause)))
    socket.once('close', () => {
      const reason = `the probe at ${path} hung up; its unit's log says why`
      reject(cannotCapture(reason))
      stream.end(ending.isStopping ? undefined : captureEnded(reason))
    })
  })
  started.catch(() => undefined)
  return speakOver(socket, { stream, started, gone, ending })
}

/** Whether we have asked it to end. */
interface Ending {
  isStopping: boolean
}

/** What can be said to a probe, wherever it runs. */
const speakOver = (
  socket: Socket,
  {
    stream,
    started,
    gone,
    ending,
  }: {
    stream: ReturnType<typeof createStream>
    started: Promise<void>
    gone: Promise<void>
    ending: Ending
  },
): Probe => ({
  events$: stream.events$,
  started,
  advise(advice) {
    if (!ending.isStopping && !socket.destroyed) socket.write(encodeAdvice(advice))
  },
  async stop() {
    ending.isStopping = true
    stream.drain()
    socket.end()
    const timer = setTimeout(() => socket.destroy(), stopPatienceMs)
    await gone
    clearTimeout(timer)
  },
})

const spawnProbe = (options: ProbeOptions): ChildProcess => {
  const path = join(options.packageRoot, 'bpf/build/fullspan-probe')
  if (!existsSync(path)) throw cannotCapture(`the probe is not built: ${path} is missing (make build)`)
  const list = (name: string, values: readonly number[]): string[] =>
    values.flatMap(value => [name, String(value)])
  const args = [
    ...['--fd', '3', '--max-payload', String(options.maxPayloadBytes)],
    ...(options.ringBytes === undefined ? [] : ['--ring-bytes', String(options.ringBytes)]),
    ...list('--own-pid', options.ownPids),
    ...list('--own-port', options.ownPorts),
    ...list('--udp-port', options.udpPorts),
    ...(options.hasNet ? [] : ['--no-net']),
    ...(options.hasUnix === false ? ['--no-unix'] : []),
    ...(options.hasTls === false ? ['--no-tls'] : []),
    ...(options.sysTier === undefined ? [] : ['--sys-tier', options.sysTier]),
    ...(options.netTier === undefined ? [] : ['--net-tier', options.netTier]),
    ...(options.sendStart === undefined ? [] : ['--send-start', options.sendStart]),
    ...filterArguments(options.filter),
    ...budgetArguments(options.budget),
  ]
  // a group of its own: Ctrl-C on the terminal is for Fullspan, which then drains and ends the probe
  return spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], detached: true })
}

const filterArguments = (filter: ProbeFilter | undefined): string[] =>
  filter === undefined
    ? []
    : [...listArguments('include', filter.include), ...listArguments('exclude', filter.exclude)]

const listArguments = (way: 'include' | 'exclude', lists: FilterLists): string[] => {
  const list = (name: string, values: readonly (string | number)[] = []): string[] =>
    values.flatMap(value => [`--${way}-${name}`, String(value)])
  return [
    ...list('port', lists.ports),
    ...list('netns', lists.namespaces),
    ...list('cidr', lists.cidrs),
    ...list('pid', lists.pids),
    ...list('cgroup', lists.cgroups),
  ]
}

const budgetArguments = ({ maxCpuPercent, maxEventsPerSecond }: ProbeBudget = {}): string[] => [
  ...(maxCpuPercent === undefined ? [] : ['--max-cpu-percent', String(maxCpuPercent)]),
  ...(maxEventsPerSecond === undefined ? [] : ['--max-events', String(maxEventsPerSecond)]),
]

/** Captured of each turn of a connection whose protocol is known, in bytes: heads, and bodies as long as they are short. */
const turnAllowanceBytes = 16_384

const encodeAdvice = (advice: readonly Advice[]): Buffer => {
  const at = layout.connectionCommand
  const bytes = Buffer.alloc(advice.length * at.size)
  for (const [index, { cookie, mode }] of advice.entries()) {
    const command = bytes.subarray(index * at.size)
    command.writeUInt32LE(at.size, layout.record.length)
    command.writeUInt16LE(layout.connectionCommandType, layout.record.type)
    command.writeUInt16LE(layout.protocolVersion, layout.record.version)
    command.writeBigUInt64LE(cookie, at.cookie)
    command.writeUInt32LE(layout.mode[mode], at.mode)
    command.writeUInt32LE(turnAllowanceBytes, at.allowance)
  }
  return bytes
}

/** Node makes a socket pair of a 'pipe' beyond the first three, and a Socket of our end. */
const socketOf = (child: ChildProcess): Socket => child.stdio[3] as Socket

/** Hands on the probe's lines, and remembers the last one. */
const relayMessages = (
  child: ChildProcess,
  onMessage: (line: string) => void,
): (() => string | undefined) => {
  let last: string | undefined
  if (!child.stderr) return () => last
  createInterface({ input: child.stderr }).on('line', line => {
    last = line.replace(/^fullspan-probe: /, '')
    onMessage(last)
  })
  return () => last
}

interface Stream {
  readonly events$: Observable<CaptureEvent[]>
  onFirst(callback: () => void): void
  /** Reads on, without a subscriber if need be, so that the probe can finish. */
  drain(): void
  end(error: Error | undefined): void
}

/** Until someone subscribes, the first batch is kept and the rest waits in the socket: the probe counts what finds no room. */
const createStream = (socket: Socket, recorder: Recorder | undefined): Stream => {
  const decoder = createRecordDecoder()
  const kept: CaptureEvent[][] = []
  let subscriber: Subscriber<CaptureEvent[]> | undefined
  let isDraining = false
  let onFirst = (): void => undefined
  let ended: { readonly error: Error | undefined } | undefined

  const finish = (error: Error | undefined): void => {
    if (ended) return
    ended = { error }
    recorder?.close()
    if (!subscriber) return
    if (error) subscriber.error(error)
    else subscriber.complete()
  }
  socket.on('data', (chunk: Buffer) => {
    if (ended) return
    try {
      const events = decoder.push(chunk)
      recorder?.write(chunk)
      if (subscriber) subscriber.next(events)
      else if (!isDraining) {
        kept.push(events)
        socket.pause()
      }
      onFirst()
    } catch (error) {
      socket.destroy()
      finish(error instanceof Error ? error : new Error(String(error)))
    }
  })
  socket.on('error', () => undefined) // the probe's end, which follows, says more
  return {
    events$: new Observable(next => {
      subscriber = next
      for (const events of kept.splice(0)) next.next(events)
      if (!ended) socket.resume()
      else if (ended.error) next.error(ended.error)
      else next.complete()
      return () => {
        subscriber = undefined
      }
    }),
    onFirst(callback) {
      onFirst = callback
    },
    drain() {
      isDraining = true
      socket.resume()
    },
    end: finish,
  }
}
