import { type ChildProcess, fork, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A relay that runs, and what it costs. */
export interface RunningRelay {
  readonly name: string
  /** Where it takes requests. */
  readonly port: number
  /** CPU time that it has used since it began, in seconds: user and system, all threads (proc(5), steps of 10 ms). */
  cpuSeconds(): number
  /** Memory in RAM now and at most so far, in MiB. */
  memoryMiB(): { now: number; peak: number }
  /** The last of what it wrote. */
  said(): string
  stop(): Promise<void>
}

export interface RelayCommand {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly port: number
}

/** Starts it and waits until it takes connections. Throws with what it wrote if it ends before. */
export async function startRelay({ name, command, args, port }: RelayCommand): Promise<RunningRelay> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  const hear = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-10_000)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const start: { failure: string | undefined } = { failure: undefined }
  child.once('error', error => {
    start.failure = error.message
  })
  const deadlineMs = Date.now() + startMs
  while (!(await isListening(port))) {
    const isGone = start.failure !== undefined || child.exitCode !== null
    if (isGone || Date.now() > deadlineMs) {
      child.kill('SIGKILL')
      throw new Error(`${name} did not start: ${start.failure ?? said}`)
    }
    await sleep(50)
  }
  const pid = child.pid!
  return {
    name,
    port,
    cpuSeconds: () => cpuSecondsOf(pid),
    memoryMiB: () => memoryOf(pid),
    said: () => said,
    stop: () => stop(child),
  }
}

const startMs = 20_000
const stopMs = 15_000

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), stopMs)
  await exit
  clearTimeout(killer)
}

/** A program of this benchmark, which ends when its channel closes. */
export interface Helper<Order extends object, Report> {
  send(order: Order): void
  /** The reports, one after another. */
  next(): Promise<Report>
  stop(): Promise<void>
}

export function startHelper<Order extends object, Report>(program: URL): Helper<Order, Report> {
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const reports = on(child, 'message', { close: ['exit'] })
  return {
    send: order => void child.send(order),
    async next() {
      const { done, value } = (await reports.next()) as IteratorResult<[Report], undefined>
      if (done === true) throw new Error(`${program.pathname} has ended.`)
      return value[0]
    },
    async stop() {
      if (child.exitCode !== null) return
      const exit = once(child, 'exit')
      child.disconnect()
      await exit
    },
  }
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

function isListening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    const end = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

const ticksASecond = 100

/** CPU time of a process, in seconds (proc(5), steps of 10 ms). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold anything; after it the fields are numbered from 3. utime is 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksASecond
}

function memoryOf(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  return { now: field('VmRSS'), peak: field('VmHWM') }
}
