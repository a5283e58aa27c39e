import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Observable, type Subscriber } from 'rxjs'
import type { CaptureEvent } from '../../flow/events.ts'
import { cannotCapture, captureEnded } from './errors.ts'
import { openRecorder, type Recorder } from './recording.ts'
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
  /** `false`: sends are timed as on kernels before 6.16, by their first packet. For tests. */
  readonly hasSendStart?: boolean
  /** Where the raw stream is recorded to, and how much of it at most. */
  readonly recording?: { readonly path: string; readonly maxBytes: number } | undefined
  /** A line that the probe said on standard error while running (for example that it started capturing again). */
  readonly onMessage: (line: string) => void
}

export interface Probe {
  /**
   * Events as they come; one subscriber, and what came before it subscribed is kept for it. Errors with EBPF_CAPTURE_ENDED
   * when the probe ends by itself, EBPF_BROKEN_STREAM when it speaks nonsense; completes after `stop`.
   */
  readonly events$: Observable<CaptureEvent[]>
  /** Settles when capture runs, or rejects with EBPF_CANNOT_CAPTURE. Nothing needs privileges after it. */
  readonly started: Promise<void>
  /** Takes what was seen until now, ends the probe and waits until it is gone. */
  stop(): Promise<void>
}

/** The probe ends by itself when its socket is shut down; after this many ms the socket is closed under it. */
const stopPatienceMs = 5000

/** Starts the probe, whose supervisor restarts what captures: it ends only on `stop`, or with this process. */
export const startProbe = (options: ProbeOptions): Probe => {
  const recorder = options.recording && openRecorder(options.recording.path, options.recording.maxBytes)
  const child = spawnProbe(options)
  const socket = socketOf(child)
  const stream = createStream(socket, recorder)
  const lastLine = relayMessages(child, options.onMessage)
  let isStopping = false
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
      stream.end(isStopping ? undefined : captureEnded(reason))
    })
  })
  started.catch(() => undefined) // who does not ask learns it from events$
  return {
    events$: stream.events$,
    started,
    async stop() {
      isStopping = true
      stream.drain()
      socket.end()
      const timer = setTimeout(() => socket.destroy(), stopPatienceMs)
      await gone
      clearTimeout(timer)
    },
  }
}

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
    ...(options.hasSendStart === false ? ['--no-send-start'] : []),
  ]
  // a group of its own: Ctrl-C on the terminal is for Fullspan, which then drains and ends the probe
  return spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], detached: true })
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
