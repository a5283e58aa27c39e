import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../compare.ts'
import { rounded, tableLines } from '../table.ts'
import type { Nginx } from './nginx.ts'
import { fullspan, tcpdump, type Tracer } from './tracers.ts'

interface Variant {
  readonly tracer: Tracer
  /** Spans that each exchange should leave as. */
  readonly expected: { readonly sys: number; readonly net: number }
  readonly goal: string
}

interface Slot {
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly requests: number
  readonly perSecond: number
}

interface Figure {
  readonly loss: number
  readonly share: number | undefined
}

export interface ThroughputOptions {
  readonly isQuick: boolean
  readonly folder: string
  readonly only: string
  readonly nginx: Nginx
}

/** (b) nginx at its limit: what each tracer takes of its throughput, switched on and off inside one run of wrk. */
export async function measureThroughput(
  options: ThroughputOptions,
  print: (line: string) => void,
): Promise<void> {
  const { nginx, isQuick } = options
  const plan = isQuick ? { rounds: 1, slotMs: 500 } : { rounds: 7, slotMs: 1000 }
  const variants = variantsOf(options).filter(({ tracer }) => tracer.name.includes(options.only))
  const figures = new Map<Variant, Figure[]>(variants.map(variant => [variant, []]))
  const offs: Slot[] = []
  const wrk = spawn('wrk', ['-t1', '-c16', '-d3600s', `http://127.0.0.1:${nginx.port}/`], { stdio: 'ignore' })
  try {
    await sleep(1000)
    for (let round = 0; round < plan.rounds; round++) {
      for (const variant of shuffled(variants, round)) {
        const before = await measureSlot(nginx, plan.slotMs)
        const running = await variant.tracer.start()
        await sleep(settleMs)
        const on = await measureSlot(nginx, plan.slotMs)
        await running.stop()
        await sleep(settleMs)
        const after = await measureSlot(nginx, plan.slotMs)
        offs.push(before, after)
        const spans = running.spans?.(on.fromNs, on.toNs)
        const { sys, net } = variant.expected
        figures.get(variant)!.push({
          loss: 1 - (2 * on.perSecond) / (before.perSecond + after.perSecond),
          share: spans && (spans.sys + spans.net) / (on.requests * (sys + net)),
        })
      }
    }
  } finally {
    wrk.kill('SIGTERM')
    await once(wrk, 'exit')
  }
  print(
    `(b) nginx, one worker, three bytes from memory, wrk -t1 -c16: ${rounded(median(offs.map(slot => slot.perSecond)))} requests/s without; ${plan.rounds} slots of ${plan.slotMs} ms each, in turn\n`,
  )
  const base = median(figures.get(variants[0]!)!.map(({ loss }) => loss))
  const rows = variants.map(variant => rowOf(variant, figures.get(variant)!, base))
  for (const line of tableLines(['', 'loss', 'quartiles', '/ tcpdump', 'goal ≤', 'left as spans'], rows))
    print(line)
  print('')
}

const settleMs = 400

function variantsOf({ folder, nginx }: ThroughputOptions): Variant[] {
  const server = { include: { pids: [nginx.workerPid], ports: [nginx.port] } }
  const both = { include: { ports: [nginx.port] } }
  const variant = (
    name: string,
    ebpf: Readonly<Record<string, unknown>>,
    rest: Pick<Variant, 'expected' | 'goal'>,
  ): Variant => ({ tracer: fullspan({ name, folder, ebpf }), ...rest })
  const budget = { max_cpu_percent: 10 }
  return [
    { tracer: tcpdump(nginx.port), expected: { sys: 0, net: 0 }, goal: '' },
    variant('SYS, server', { net: false, filter: server }, { expected: { sys: 1, net: 0 }, goal: '1.1×' }),
    variant('SYS+NET, server', { filter: server }, { expected: { sys: 1, net: 1 }, goal: '1.5×' }),
    variant('SYS, both ends', { net: false, filter: both }, { expected: { sys: 2, net: 0 }, goal: '1.5×' }),
    variant('SYS+NET, both ends', { filter: both }, { expected: { sys: 2, net: 1 }, goal: '2×' }),
    variant(
      'SYS, server, budget 10 %',
      { net: false, filter: server, budget },
      { expected: { sys: 1, net: 0 }, goal: '8 %' },
    ),
    variant(
      'SYS+NET, both ends, budget 10 %',
      { filter: both, budget },
      { expected: { sys: 2, net: 1 }, goal: '8 %' },
    ),
  ]
}

async function measureSlot(nginx: Nginx, slotMs: number): Promise<Slot> {
  const first = await nginx.requests()
  const begin = process.hrtime.bigint()
  const fromNs = BigInt(Date.now()) * 1_000_000n
  await sleep(slotMs)
  const last = await nginx.requests()
  const passedNs = process.hrtime.bigint() - begin
  const requests = last - first
  return { fromNs, toNs: fromNs + passedNs, requests, perSecond: (requests * 1e9) / Number(passedNs) }
}

function rowOf({ tracer, goal }: Variant, figures: readonly Figure[], base: number): string[] {
  const losses = figures.map(({ loss }) => loss).toSorted((a, b) => a - b)
  const quartile = (part: number): string => percent(losses[Math.round(part * (losses.length - 1))]!)
  const shares = figures.flatMap(({ share }) => (share === undefined ? [] : [share]))
  return [
    tracer.name,
    percent(median(losses)),
    `${quartile(0.25)} to ${quartile(0.75)}`,
    goal === '' ? '' : `${(median(losses) / base).toFixed(2)}×`,
    goal,
    shares.length === 0 ? '' : `${(100 * median(shares)).toFixed(1)} %`,
  ]
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** The same order in each run of the benchmark, another one in each round. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  return list
    .map((item, index) => ({ item, rank: Math.imul(index + 1 + seed * 31, 0x9e3779b1) >>> 0 }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}
