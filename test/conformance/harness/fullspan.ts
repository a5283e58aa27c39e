import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../../core/package-root.ts'

/** A line of the log, as `encoding: json` writes it. */
export interface LogEntry {
  readonly level: string
  readonly msg: string
  readonly component?: string
  readonly address?: string
  readonly [field: string]: unknown
}

/** A `fullspan run` of its own process. */
export interface Fullspan {
  readonly child: ChildProcess
  readonly log: readonly LogEntry[]
  /** `127.0.0.1:port` of an OTLP receiver, by its id and protocol. */
  address(component: string, protocol: 'HTTP' | 'gRPC'): string
  /** Resolves with the first entry that fits, also one already there. */
  logged(fits: (entry: LogEntry) => boolean): Promise<LogEntry>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
}

/** Starts a config (JSON) and waits until everything is ready. Ports are free ones, log and ledger are JSON. */
export async function startFullspan(config: {
  readonly receivers: object
  readonly processors?: object
  readonly exporters: object
  readonly pipelines: object
}): Promise<Fullspan> {
  const { pipelines, ...components } = config
  const telemetry = { logs: { encoding: 'json' }, metrics: { host: '127.0.0.1', port: 0 } }
  const text = JSON.stringify({ ...components, service: { pipelines, telemetry } })
  const main = join(packageRoot(), 'dist/cli/main.js')
  const child = spawn(process.execPath, [main, 'run', '--config', 'env:CONFORMANCE_CONFIG'], {
    env: { ...plainEnvironment(), CONFORMANCE_CONFIG: text },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const log: LogEntry[] = []
  const watchers = new Set<() => void>()
  let rest = ''
  child.stderr.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n')
    rest = lines.pop() ?? ''
    log.push(...lines.map(parseEntry))
    for (const watcher of watchers) watcher()
  })
  const exit = new Promise<number | null>(resolve => child.once('close', resolve))
  const logged = (fits: (entry: LogEntry) => boolean) =>
    new Promise<LogEntry>((resolve, reject) => {
      const look = () => {
        const found = log.find(fits)
        if (!found) return
        watchers.delete(look)
        resolve(found)
      }
      watchers.add(look)
      look()
      void exit.then(() =>
        reject(new Error(`fullspan ended: ${log.map(({ msg }) => msg).join('\n')}\n${rest}`)),
      )
    })
  await logged(({ msg }) => msg === 'everything is ready')
  return {
    child,
    log,
    logged,
    address(component, protocol) {
      const entry = log.find(
        line => line.component === component && line.msg === `OTLP/${protocol} is listening`,
      )
      if (entry?.address === undefined) throw new Error(`${component} does not listen for ${protocol}`)
      return entry.address
    },
    stop() {
      child.kill('SIGTERM')
      return exit
    },
  }
}

/** What the test runner loads into every process is not for this one. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: undefined }
}

function parseEntry(line: string): LogEntry {
  try {
    return JSON.parse(line) as LogEntry
  } catch {
    return { level: 'raw', msg: line }
  }
}
