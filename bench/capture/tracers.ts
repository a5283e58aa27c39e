import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../core/package-root.ts'
import { Batch } from '../../model/batch.ts'
import { names } from '../../model/attribute-names.ts'

/** Something that watches the traffic of a port. */
export interface Tracer {
  readonly name: string
  /** Resolves when it watches. */
  start(): Promise<RunningTracer>
}

export interface RunningTracer {
  /** Its processes. */
  readonly pids: readonly number[]
  stop(): Promise<void>
  /** After `stop`: spans of each layer that left, of exchanges that began in that time (Unix, ns). */
  spans?: (fromNs: bigint, toNs: bigint) => SpanCounts
}

export interface SpanCounts {
  sys: number
  net: number
}

export function tcpdump(port: number): Tracer {
  return {
    name: 'tcpdump -i lo -s 256',
    async start() {
      const args = ['-i', 'lo', '-s', '256', '-w', '/dev/null', 'port', String(port)]
      const child = spawn('tcpdump', args, { stdio: ['ignore', 'ignore', 'pipe'] })
      await once(child.stderr, 'data') // "listening on lo"
      child.stderr.resume()
      return {
        pids: [child.pid!],
        async stop() {
          const exited = once(child, 'exit')
          child.kill('SIGTERM')
          await exited
        },
      }
    },
  }
}

export interface FullspanOptions {
  readonly name: string
  readonly folder: string
  /** Settings of the ebpf receiver. */
  readonly ebpf: Readonly<Record<string, unknown>>
  /** Folder for a CPU profile. */
  readonly profile?: string | undefined
}

/** `fullspan run` with ebpf → batch → file, as OTLP in protobuf. */
export function fullspan({ name, folder, ebpf, profile }: FullspanOptions): Tracer {
  return {
    name,
    async start() {
      const config = join(folder, 'fullspan.json')
      const path = join(folder, 'spans.pb')
      writeFileSync(
        config,
        JSON.stringify({
          receivers: { ebpf: { unix: false, ...ebpf } },
          processors: { batch: { send_batch_size: 8192 } },
          exporters: { file: { path, format: 'proto' } },
          service: {
            run_as: 'root',
            telemetry: { logs: { encoding: 'json' }, metrics: { address: '127.0.0.1:0' } },
            pipelines: { traces: { receivers: ['ebpf'], processors: ['batch'], exporters: ['file'] } },
          },
        }),
      )
      const flags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
      const args = [...flags, join(packageRoot(), 'dist/cli/main.js'), 'run', '--config', config]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
      const exited = once(child, 'exit')
      await untilCapturing(child.stderr)
      const own = child.pid!
      return {
        pids: [own, ...probePids(own)],
        async stop() {
          child.kill('SIGTERM')
          await exited
        },
        spans(fromNs, toNs) {
          const counts = countSpans(path, fromNs, toNs)
          rmSync(path)
          return counts
        },
      }
    },
  }
}

/** Its log goes on being read, so that it never waits for us. */
async function untilCapturing(log: NodeJS.ReadableStream): Promise<void> {
  const said: string[] = []
  const lines = createInterface({ input: log })
  const isOver = await new Promise<boolean>(resolve => {
    lines.on('line', line => {
      said.push(line)
      if (said.length > 50) said.shift()
      if (line.includes('capturing system calls')) resolve(false)
    })
    lines.once('close', () => resolve(true))
  })
  if (isOver) throw new Error(`Fullspan did not start:\n${said.join('\n')}`)
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)

/** Supervisor and capturing process. */
const probePids = (pid: number): number[] =>
  childrenOf(pid).flatMap(supervisor => [supervisor, ...childrenOf(supervisor)])

/** Reads the file request by request: it may be larger than memory. */
function countSpans(path: string, fromNs: bigint, toNs: bigint): SpanCounts {
  const counts: SpanCounts = { sys: 0, net: 0 }
  const file = openSync(path, 'r')
  const head = Buffer.alloc(4)
  while (readSync(file, head) === 4) {
    const request = Buffer.alloc(head.readUInt32BE())
    for (let at = 0; at < request.length;) at += readSync(file, request, at, request.length - at, null)
    for (const { spans } of Batch.ofRequest('traces', request, 0).groups) {
      for (const span of spans) {
        const { startTimeUnixNano } = span
        if (startTimeUnixNano < fromNs || startTimeUnixNano >= toNs) continue
        if (span.text(names.layer) === 'net') counts.net++
        else counts.sys++
      }
    }
  }
  closeSync(file)
  return counts
}
