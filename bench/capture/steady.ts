import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSecondsOf } from '../relay/child.ts'
import { rounded, tableLines } from '../table.ts'
import type { Nginx } from './nginx.ts'
import { compileProgram, startLines } from './programs.ts'
import { fullspan } from './tracers.ts'

export interface SteadyOptions {
  readonly isQuick: boolean
  readonly folder: string
  readonly nginx: Nginx
  readonly profile: string | undefined
}

const connections = 16
const statsSwitch = '/proc/sys/kernel/bpf_stats_enabled'

interface Run {
  readonly answered: number
  readonly seconds: number
  /** CPU seconds of nginx's worker. */
  readonly nginx: number
}

async function ask(program: string, nginx: Nginx, rate: number, seconds: number): Promise<Run> {
  const before = cpuSecondsOf(nginx.workerPid)
  const running = startLines(program, [nginx.port, connections, rate, seconds].map(String))
  const [answered = 0, took = 0] = (await running.line()).split(' ').map(Number)
  await running.stop()
  return { answered, seconds: took, nginx: cpuSecondsOf(nginx.workerPid) - before }
}

/** (c) CPU at a fixed rate, as a share of what nginx itself uses for it. */
export async function measureSteady(options: SteadyOptions, print: (line: string) => void): Promise<void> {
  const { nginx, folder, isQuick } = options
  const program = compileProgram('requests', folder)
  const [rate, seconds] = isQuick ? [2000, 1] : [10_000, 10]
  const base = await ask(program, nginx, rate, seconds)
  const before = readFileSync(statsSwitch, 'utf8')
  writeFileSync(statsSwitch, '1')
  const rows: string[][] = []
  try {
    for (const { name, net } of [
      { name: 'SYS, server', net: false },
      { name: 'SYS+NET, server', net: true },
    ]) {
      const filter = { include: { pids: [nginx.workerPid], ports: [nginx.port] } }
      const running = await fullspan({ name, folder, ebpf: { net, filter } }).start()
      await sleep(1000)
      const fromNs = BigInt(Date.now()) * 1_000_000n
      const [node = 0, ...probe] = running.pids
      const cpu = (): [number, number, number] => [
        cpuSecondsOf(node),
        probe.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
        kernelSeconds(probe),
      ]
      const begin = cpu()
      const run = await ask(program, nginx, rate, seconds)
      await sleep(500)
      const used = cpu().map((each, index) => each - begin[index]!)
      await running.stop()
      const spans = running.spans!(fromNs, fromNs + BigInt(1e15))
      const part = (each: number): string => `${((100 * each) / base.nginx).toFixed(0)} %`
      const all = used.reduce((sum, each) => sum + each, 0)
      const left = spans.sys / run.answered
      rows.push([
        name,
        ...used.map(part),
        part(all),
        `${((1e6 * all) / run.answered).toFixed(1)} µs`,
        percent(left),
      ])
    }
  } finally {
    writeFileSync(statsSwitch, before)
  }
  const own = ((1e6 * base.nginx) / base.answered).toFixed(1)
  print(`(c) at ${rounded(rate)} requests/s, in parts of what nginx itself uses (${own} µs a request)\n`)
  const header = ['', 'Node', 'probe', 'BPF programs', 'all', 'a request', 'left as spans']
  for (const line of tableLines(header, rows)) print(line)
  print('')
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`

/** (d) The highest of a few rates of which nothing is lost. */
export async function measureSustained(options: SteadyOptions, print: (line: string) => void): Promise<void> {
  const { nginx, folder, isQuick, profile } = options
  const program = compileProgram('requests', folder)
  const rates = isQuick ? [1000] : [5000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 100_000, 120_000]
  const seconds = isQuick ? 1 : 5
  const rows: string[][] = []
  for (const rate of rates) {
    const filter = { include: { pids: [nginx.workerPid], ports: [nginx.port] } }
    const running = await fullspan({ name: '', folder, ebpf: { net: false, filter }, profile }).start()
    await sleep(500)
    const fromNs = BigInt(Date.now()) * 1_000_000n
    const run = await ask(program, nginx, rate, seconds)
    await sleep(1000)
    await running.stop()
    const { sys } = running.spans!(fromNs, fromNs + BigInt(1e15))
    const share = sys / run.answered
    rows.push([rounded(rate), rounded(run.answered / run.seconds), percent(share)])
    if (share < 0.999) break
  }
  print(`(d) SYS, server: exchanges/s for ${seconds} s, and the share that left as spans\n`)
  for (const line of tableLines(['asked for', 'reached', 'left as spans'], rows)) print(line)
  print('')
}

/** What the programs held by these processes have run; counted while the switch is on. */
function kernelSeconds(pids: readonly number[]): number {
  const ids = new Set(
    pids.flatMap(pid =>
      readdirSync(`/proc/${pid}/fdinfo`).flatMap(fd => {
        const id = /^prog_id:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1]
        return id === undefined ? [] : [id]
      }),
    ),
  )
  let ns = 0
  for (const id of ids) {
    const text = execFileSync('bpftool', ['-j', 'prog', 'show', 'id', id], { encoding: 'utf8' })
    ns += Number(/"run_time_ns":(\d+)/.exec(text)?.[1] ?? 0)
  }
  return ns / 1e9
}
