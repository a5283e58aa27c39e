import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from '../compare.ts'
import type { BenchOptions, Part } from '../part.ts'
import { rounded, tableLines, times } from '../table.ts'
import { freePorts, type RelayCommand, type RunningRelay, startRelay } from './child.ts'
import { createStand, type Measured, type Stand } from './measure.ts'
import type { Protocol } from './messages.ts'
import { bare, collector, fullspan } from './relays.ts'

/** A load that every relay gets in turn. */
interface Load {
  readonly protocol: Protocol
  readonly spansARequest: number
}

const loads: readonly Load[] = (['http', 'grpc'] as const).flatMap(protocol =>
  [512, 8].map(spansARequest => ({ protocol, spansARequest })),
)
const steadySpansPerSecond = 10_000
const connections = 4

/** Spans per CPU-second of `otlp` → `batch` → `otlp_http` and `otlp_grpc`, against the bare relay and a Collector. */
export const relay: Part = {
  name: 'relay',
  description: 'OTLP in, OTLP out: CPU, memory, latency, against a bare relay and (--peer) a Collector',
  async run(options, print) {
    const folder = mkdtempSync(join(tmpdir(), 'fullspan-bench-'))
    const stand = await createStand()
    try {
      for (const load of loads.filter(each => nameOf(each).includes(options.only))) {
        await measureLoad(load, { folder, stand, options, print })
      }
    } finally {
      await stand.stop()
      rmSync(folder, { recursive: true })
    }
  },
}

function nameOf({ protocol, spansARequest }: Load): string {
  return `${protocol} ${spansARequest}`
}

interface Run {
  readonly folder: string
  readonly stand: Stand
  readonly options: BenchOptions
  readonly print: (line: string) => void
}

interface Figures {
  readonly relay: RunningRelay
  /** In RAM at `steadySpansPerSecond`, before any full load. */
  freshMiB: number
  /** At `steadySpansPerSecond`. */
  readonly steady: Measured[]
  /** As fast as it accepts. */
  readonly full: Measured[]
}

/** All relays run; only one at a time has something to do. */
async function measureLoad(load: Load, run: Run): Promise<void> {
  const figures: Figures[] = []
  try {
    for (const command of await commandsOf(load, run)) {
      figures.push({ relay: await startRelay(command), freshMiB: 0, steady: [], full: [] })
    }
    await measureInTurn(load, figures, run)
    const way = `otlp → batch → otlp_${load.protocol}`
    run.print(`relay: ${way}, ${load.spansARequest} spans a request, ${connections} connections\n`)
    const rows = figures.map(each => rowOf(each, figures))
    for (const line of tableLines(header, rows)) run.print(line)
    run.print('')
  } finally {
    await Promise.all(figures.map(each => each.relay.stop()))
  }
}

async function commandsOf(load: Load, { folder, stand, options }: Run): Promise<RelayCommand[]> {
  const { protocol } = load
  const [first, second, third] = await freePorts(3)
  const place = { protocol, target: stand.sink[protocol], folder }
  const profile = options.profile && { folder: options.profile, name: nameOf(load).replace(' ', '-') }
  return [
    fullspan({ ...place, port: first! }, profile || undefined),
    bare({ ...place, port: second! }),
    ...(options.peer === undefined ? [] : [collector({ ...place, port: third! }, options.peer)]),
  ]
}

/**
 * A round before the others only counts for memory, which is not to be that of a full load before. Its full load is longer: a relay
 * runs for months, and V8 needs about six seconds of load until all of a request's way is compiled.
 */
async function measureInTurn(
  load: Load,
  figures: readonly Figures[],
  { stand, options }: Run,
): Promise<void> {
  const plan = options.isQuick
    ? { rounds: 1, warmUpMs: 500, warmMs: 200, steadyMs: 500, fullMs: 500 }
    : { rounds: 3, warmUpMs: 6000, warmMs: 400, steadyMs: 2500, fullMs: 1500 }
  const measure = (relay: RunningRelay, spansPerSecond: number, measureMs: number) =>
    stand.measure(relay, { ...load, connections, warmMs: plan.warmMs, measureMs, spansPerSecond })
  for (const each of figures) {
    each.freshMiB = (await measure(each.relay, steadySpansPerSecond, plan.steadyMs)).memoryMiB
    await measure(each.relay, 0, plan.warmUpMs)
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const { relay: each, steady } of figures) {
      steady.push(await measure(each, steadySpansPerSecond, plan.steadyMs))
    }
    for (const { relay: each, full } of figures) full.push(await measure(each, 0, plan.fullMs))
  }
}

const header = [
  'relay',
  'spans/CPU-s',
  'Fullspan has',
  'spans/s',
  'p50 ms',
  'p99 ms',
  'peak MiB',
  '| at 10,000/s: CPU',
  'p50 ms',
  'p99 ms',
  'MiB',
]

function rowOf({ relay: each, freshMiB, steady, full }: Figures, [ours]: readonly Figures[]): string[] {
  const middle = (list: readonly Measured[], figure: (measured: Measured) => number) =>
    median(list.map(figure))
  const ratios = full.map(
    ({ spansPerCpuSecond }, round) => ours!.full[round]!.spansPerCpuSecond / spansPerCpuSecond,
  )
  // A round uses few of /proc's steps of 10 ms.
  const steadyCpu = steady.reduce((sum, { cpu }) => sum + cpu, 0) / steady.length
  return [
    each.name,
    rounded(middle(full, ({ spansPerCpuSecond }) => spansPerCpuSecond)),
    each === ours!.relay ? '' : times(median(ratios)),
    rounded(middle(full, ({ spansPerSecond }) => spansPerSecond)),
    middle(full, ({ p50Ms }) => p50Ms).toFixed(2),
    middle(full, ({ p99Ms }) => p99Ms).toFixed(2),
    each.memoryMiB().peak.toFixed(0),
    `${(100 * steadyCpu).toFixed(1)} %`,
    middle(steady, ({ p50Ms }) => p50Ms).toFixed(2),
    middle(steady, ({ p99Ms }) => p99Ms).toFixed(2),
    freshMiB.toFixed(0),
  ]
}
