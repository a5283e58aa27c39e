import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LedgerEntry } from '../../core/ledger.ts'
import { packageRoot } from '../../core/package-root.ts'
import { traceRequest } from './otlp-requests.ts'

/** A line of the log. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string }

/** `fullspan run` in a process of its own. */
export interface RunningFullspan {
  readonly pid: number
  /** All that was logged. */
  readonly lines: readonly LogRecord[]
  /** Other lines on standard error. */
  readonly text: () => readonly string[]
  /** What came on standard output. */
  readonly stdout: () => string
  /** The first line, past or to come, that `isIt`; fails when the process ends without one. */
  until(isIt: (line: LogRecord) => boolean): Promise<LogRecord>
  readonly metrics: () => Promise<string>
  /** Resolves at the end with the exit code and the account of each branch. */
  stop(
    signal?: NodeJS.Signals,
  ): Promise<{ code: number | null; ledger: Readonly<Record<string, LedgerEntry>> }>
  readonly exited: Promise<number | null>
}

interface Teardown {
  teardown(call: () => void): void
}

/**
 * Starts one with a config file (or `yaml:text`) and its log as JSON. Resolves when it is ready, and fails if it ends before. The test's end
 * kills it.
 */
export async function runFullspan(
  t: Teardown,
  config: string,
  options: {
    cwd?: string
    settings?: readonly string[]
    nodeOptions?: readonly string[]
    env?: Readonly<Record<string, string>>
  } = {},
): Promise<RunningFullspan> {
  const running = startFullspan(t, config, options)
  await running.until(line => line.msg === 'everything is ready')
  return running
}

/** The same without waiting. */
export function startFullspan(
  t: Teardown,
  config: string,
  { cwd, settings = [], nodeOptions = [], env = {} }: Parameters<typeof runFullspan>[2] = {},
): RunningFullspan {
  const main = join(packageRoot(), 'dist/cli/main.js')
  const all = [
    'service.telemetry.logs.encoding=json',
    'service.telemetry.metrics.address=localhost:0',
    ...settings,
  ]
  const args = [main, 'run', '--config', config, ...all.flatMap(each => ['--set', each])]
  // The test runner loads itself into every process by NODE_OPTIONS.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...nodeOptions, ...args], {
    cwd,
    env: { ...process.env, ...env },
  })
  t.teardown(() => void child.kill('SIGKILL'))
  const lines: LogRecord[] = []
  const watchers = new Set<() => void>()
  const other: string[] = []
  let stdout = ''
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
  createInterface(child.stderr).on('line', text => {
    if (text.startsWith('{')) lines.push(JSON.parse(text) as LogRecord)
    else other.push(text)
    for (const watcher of watchers) watcher()
  })
  const exited = new Promise<number | null>(resolve => child.on('close', resolve))
  const until = (isIt: (line: LogRecord) => boolean): Promise<LogRecord> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.find(isIt)
        if (!found) return
        watchers.delete(look)
        resolve(found)
      }
      watchers.add(look)
      look()
      void exited.then(code =>
        reject(
          new Error(
            `Fullspan ended with ${code} before ${String(isIt)}:\n${[...other, ...lines.map(line => JSON.stringify(line))].join('\n')}`,
          ),
        ),
      )
    })
  return {
    get pid() {
      return child.pid ?? 0
    },
    lines,
    text: () => other,
    stdout: () => stdout,
    until,
    exited,
    async metrics() {
      const ready = await until(line => line.msg === 'everything is ready')
      return (await fetch(String(ready['metrics']))).text()
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const code = await exited
      const ledger: Record<string, LedgerEntry> = {}
      for (const line of lines) {
        if (line.msg.startsWith('ledger of ')) ledger[line.msg.slice(10)] = line as unknown as LedgerEntry
      }
      return { code, ledger }
    },
  }
}

/** Where an OTLP receiver listens for HTTP: `host:port`. */
export async function otlpHttpAddress(running: RunningFullspan, receiver = 'otlp'): Promise<string> {
  const line = await running.until(
    ({ msg, component }) => msg.includes('OTLP/HTTP') && component === receiver,
  )
  return String(line['address'])
}

/** Sends a request with one span of this name, or those spans. Returns the response. */
export async function postSpans(address: string, spans: readonly object[]): Promise<Response> {
  const headers = { 'content-type': 'application/x-protobuf' }
  const body = Buffer.from(traceRequest(spans))
  return fetch(`http://${address}/v1/traces`, { method: 'POST', headers, body })
}
