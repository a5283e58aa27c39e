import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { resolve } from 'node:path'
import type { CaptureEvent, PacketEvent, SocketDataEvent } from '../../flow/events.ts'
import { startProbe, type Probe, type ProbeOptions } from '../../receivers/ebpf/probe.ts'

/** The checkout: tests run from dist/test. */
export const checkout = resolve(import.meta.dirname, '../../..')

/** Why the probe cannot run here, or false: for tap's `skip`. */
export const noCapture = (): string | false => {
  const probe = `${checkout}/bpf/build/fullspan-probe`
  if (!existsSync(probe)) return 'bpf/build/fullspan-probe is not built'
  try {
    execFileSync(probe, ['--check'], { encoding: 'utf8' })
    return false
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout).trim() : String(error)
  }
}

export interface Capture {
  readonly probe: Probe
  readonly events: CaptureEvent[]
  readonly messages: string[]
  /** Waits until an event like that has come, and gives the first of them. */
  until<E extends CaptureEvent>(is: (event: CaptureEvent) => event is E): Promise<E>
  untilAny(is: (event: CaptureEvent) => boolean): Promise<void>
  sent(text: string): SocketDataEvent | undefined
  received(text: string): SocketDataEvent | undefined
  packets(text: string): PacketEvent[]
  /** Settles when the events are over; rejects when they ended with an error. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

const patienceMs = 15_000

/** Starts the probe and collects what it says. */
export const startCapture = async (options: Partial<ProbeOptions> = {}): Promise<Capture> => {
  const messages: string[] = []
  const probe = startProbe({
    packageRoot: checkout,
    ownPids: [],
    ownPorts: [],
    udpPorts: [53],
    maxPayloadBytes: 1024,
    ringBytes: 1 << 22,
    hasNet: true,
    hasUnix: false, // programs speak to these tests by Unix sockets
    hasTls: false, // other programs of the machine may use it
    onMessage: line => messages.push(line),
    ...options,
  })
  const events: CaptureEvent[] = []
  const waiting = new Set<() => void>()
  const completed = new Promise<void>((done, failed) => {
    probe.events$.subscribe({
      next: batch => {
        events.push(...batch)
        for (const check of [...waiting]) check()
      },
      error: failed,
      complete: done,
    })
  })
  completed.catch(() => undefined)
  await probe.started
  const untilAny = (is: (event: CaptureEvent) => boolean): Promise<void> =>
    new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`no such event: ${is.toString()}`)), patienceMs)
      const check = (): void => {
        if (!events.some(is)) return
        waiting.delete(check)
        clearTimeout(timer)
        done()
      }
      waiting.add(check)
      check()
    })
  const data = (direction: string, text: string): SocketDataEvent | undefined =>
    events
      .filter(event => event.type === 'socket_data')
      .find(event => event.direction === direction && textOf(event).startsWith(text))
  return {
    probe,
    events,
    messages,
    ended: completed,
    untilAny,
    async until<E extends CaptureEvent>(is: (event: CaptureEvent) => event is E): Promise<E> {
      await untilAny(is)
      return events.find(is)!
    },
    sent: text => data('send', text),
    received: text => data('receive', text),
    packets: text =>
      events.filter(event => event.type === 'packet').filter(event => textOf(event).startsWith(text)),
    async stop() {
      await probe.stop()
      await completed
    },
  }
}

export const textOf = (event: { readonly payload: Uint8Array }): string =>
  Buffer.from(event.payload).toString('latin1')

export const isReceived =
  (text: string) =>
  (event: CaptureEvent): event is SocketDataEvent =>
    event.type === 'socket_data' && event.direction === 'receive' && textOf(event).startsWith(text)

export interface Program {
  readonly pid: number
  /** Its next line. */
  line(): Promise<string>
  say(line: string): void
  /** Waits for its end; rejects unless its code is 0. */
  done(): Promise<void>
  kill(): Promise<void>
}

/** Runs Python code (Debian's, without site packages), optionally in a network namespace. */
export const python = (
  code: string,
  { netns, args = [], environment = [] }: { netns?: string; args?: string[]; environment?: string[] } = {},
): Program => {
  const command = [
    'setpriv',
    '--pdeathsig',
    'KILL',
    'env',
    ...environment,
    '/usr/bin/python3',
    '-u',
    '-I',
    '-c',
    code,
    ...args,
  ]
  const [file, ...rest] = netns === undefined ? command : ['ip', 'netns', 'exec', netns, ...command]
  return runProgram(file!, rest)
}

/** Runs a program; its lines one by one, as with `python`. */
export const runProgram = (path: string, args: readonly string[]): Program => {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exited = once(child, 'close')
  return {
    pid: child.pid!,
    async line() {
      const next = await lines.next()
      if (next.done === true) throw new Error('the program said nothing more')
      return next.value
    },
    say: text => void child.stdin.write(`${text}\n`),
    async done() {
      const [status] = (await exited) as [number | null]
      if (status !== 0) throw new Error(`the program ended with ${status ?? 'a signal'}`)
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Two network namespaces, each joined to this one by a veth pair, with forwarding between. Undone by `remove`. */
export interface TwoNamespaces {
  readonly a: string
  readonly b: string
  readonly addressA: string
  readonly addressB: string
  /** This namespace's address on the link to `a`, and to `b`. */
  readonly gatewayA: string
  readonly gatewayB: string
  /** Connections from `a` to `gatewayA:port` go to `addressB:toPort`, as from `gatewayB`. */
  readonly translate: (port: number, toPort: number) => void
  readonly remove: () => void
}

export const makeNamespaces = (prefix: string): TwoNamespaces => {
  const undo: string[] = []
  const run = (command: string): string => execFileSync('sh', ['-ec', command], { encoding: 'utf8' }).trim()
  const remove = (): void => {
    for (const command of undo.reverse().splice(0)) execFileSync('sh', ['-c', command], { stdio: 'ignore' })
  }
  const side = (name: string, net: string): void => {
    const netns = `${prefix}-${name}`
    run(`ip netns add ${netns}`)
    undo.push(`ip netns del ${netns} || true`)
    run(`ip link add ${prefix}-${name}0 type veth peer name eth0 netns ${netns}
         ip addr add ${net}.1/24 dev ${prefix}-${name}0; ip link set ${prefix}-${name}0 up
         ip -n ${netns} addr add ${net}.2/24 dev eth0; ip -n ${netns} link set eth0 up; ip -n ${netns} link set lo up
         ip -n ${netns} route add default via ${net}.1`)
  }
  const rule = (table: string, chain: string, what: string): void => {
    run(`iptables -w -t ${table} -I ${chain} ${what}`)
    undo.push(`iptables -w -t ${table} -D ${chain} ${what} || true`)
  }
  const net = freeNetwork()
  try {
    const forwarding = run('sysctl -n net.ipv4.ip_forward')
    undo.push(`sysctl -qw net.ipv4.ip_forward=${forwarding} || true`)
    run('sysctl -qw net.ipv4.ip_forward=1')
    side('a', `${net}.1`)
    side('b', `${net}.2`)
    rule('filter', 'FORWARD', `-i ${prefix}-a0 -j ACCEPT`)
    rule('filter', 'FORWARD', `-i ${prefix}-b0 -j ACCEPT`)
  } catch (error) {
    remove()
    throw error
  }
  return {
    a: `${prefix}-a`,
    b: `${prefix}-b`,
    addressA: `${net}.1.2`,
    addressB: `${net}.2.2`,
    gatewayA: `${net}.1.1`,
    gatewayB: `${net}.2.1`,
    translate(port, toPort) {
      const to = `${net}.2.2:${toPort}`
      rule('nat', 'PREROUTING', `-i ${prefix}-a0 -p tcp --dport ${port} -j DNAT --to ${to}`)
      rule('nat', 'POSTROUTING', `-o ${prefix}-b0 -j MASQUERADE`)
    },
    remove,
  }
}

/** A network of which no interface here has an address: what another run has, or left behind, is not taken. */
function freeNetwork(): string {
  const taken = execFileSync('ip', ['-4', '-o', 'addr'], { encoding: 'utf8' })
  for (let tries = 0; tries < 100; tries++) {
    const net = `10.${100 + ((process.pid + tries) % 100)}`
    if (!taken.includes(` ${net}.`)) return net
  }
  throw new Error('All of 10.100.0.0 to 10.199.0.0 are taken.')
}
