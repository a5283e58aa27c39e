import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Host, namespaceOf } from './network.ts'

export interface ServiceOptions {
  readonly host: Host | 'node'
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** `pipe`: standard input and output are the caller's to use; else both go to the log. */
  readonly stdio?: 'pipe' | 'log'
}

/** Processes of the shop, each in its namespace with the shop's names, each with a log file in `directory`. */
export interface Processes {
  start(name: string, options: ServiceOptions): ChildProcess
  /** Waits until `check` is true; says what the process wrote if that takes longer than 30 s, or it has ended. */
  waitFor(name: string, check: () => boolean | Promise<boolean>): Promise<void>
  /** Stops all, in the reverse order of their start: SIGTERM, after 5 s SIGKILL. */
  stop(): Promise<void>
  /** For the moment when nothing can be awaited any more. */
  kill(): void
  logOf(name: string): string
  pidOf(name: string): number
}

export function createProcesses(directory: string): Processes {
  const running = new Map<string, ChildProcess>()
  const resolv = join(directory, 'resolv.conf')

  function start(name: string, { host, command, env, cwd, stdio = 'log' }: ServiceOptions): ChildProcess {
    const log = openSync(join(directory, `${name}.log`), 'a')
    // `ip netns exec` gives a mount namespace of its own, so this bind mount is seen by the service alone. A test runner
    // puts itself into NODE_OPTIONS, which is not meant for services.
    const script = `unset NODE_OPTIONS; mount --bind "$0" /etc/resolv.conf && exec "$@"`
    const child = spawn('ip', ['netns', 'exec', namespaceOf(host), 'sh', '-c', script, resolv, ...command], {
      // A group of its own: so that workers go with their master, and Ctrl-C on the terminal is the demo's to answer.
      detached: true,
      stdio: stdio === 'pipe' ? ['pipe', 'pipe', log] : ['ignore', log, log],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', ...env },
      ...(cwd ? { cwd } : {}),
    })
    closeSync(log)
    child.on('error', () => undefined)
    running.set(name, child)
    return child
  }

  async function waitFor(name: string, check: () => boolean | Promise<boolean>): Promise<void> {
    const child = running.get(name)
    const deadline = Date.now() + 30_000
    while (!(await check())) {
      if (child && hasEnded(child)) throw new Error(`${name} ended: ${lastLines(logOf(name))}`)
      if (Date.now() > deadline) throw new Error(`${name} did not come up in 30 s: ${lastLines(logOf(name))}`)
      await sleep(50)
    }
  }

  async function stop(): Promise<void> {
    for (const child of [...running.values()].reverse()) {
      if (hasEnded(child)) continue
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      const stopped = await Promise.race([ended.then(() => true), sleep(5000, false, { ref: false })])
      if (!stopped) {
        killGroup(child)
        await ended
      }
    }
    running.clear()
  }

  function kill(): void {
    for (const child of running.values()) if (!hasEnded(child)) killGroup(child)
  }

  function logOf(name: string): string {
    return readFileSync(join(directory, `${name}.log`), 'utf8')
  }

  return { start, waitFor, stop, kill, logOf, pidOf: name => running.get(name)?.pid ?? 0 }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended in between.
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-5).join('\n')
}
