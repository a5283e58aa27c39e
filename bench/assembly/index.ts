import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Batch } from '../../model/batch.ts'
import { startAssociation } from '../../test/helpers/association.ts'
import type { KnownSpan } from '../../test/helpers/trace-generator.ts'
import { median } from '../compare.ts'
import type { Part, BenchOptions } from '../part.ts'
import { rounded, tableLines } from '../table.ts'
import { batchOfRequest, largeTrace, requestsOf, thirtySpans } from './traces.ts'

type Print = (line: string) => void

/** How fast `span_association` joins traces, and what it holds meanwhile. */
export const assembly: Part = {
  name: 'assembly',
  description: 'span_association: one large trace, and many at once, against a plain pass-through',
  async run(options, print) {
    if ('one trace'.includes(options.only)) await oneTrace(options, print)
    if ('sustained'.includes(options.only)) await sustained(options, print)
  },
}

const goalsMs = new Map([
  [100, 1],
  [1000, 8],
  [10_000, 80],
])

/** From the bytes of its requests to the bytes of the batch in which it leaves. */
async function oneTrace({ isQuick }: BenchOptions, print: Print): Promise<void> {
  print('assembly: one trace, from the bytes of its requests (256 spans each) to those of its batch\n')
  const rows: string[][] = []
  for (const [size, goalMs] of goalsMs) {
    const requests = requestsOf(largeTrace(size), spansARequest)
    const times: number[] = []
    let traces = 0
    for (let round = 0; round < (isQuick ? 2 : Math.max(12, 30_000 / size)); round++) {
      const run = await startAssociation()
      const begin = process.hrtime.bigint()
      for (const bytes of requests) run.input$.next(batchOfRequest(bytes, spansARequest))
      run.clock.advance(10_400)
      const written = run.batches.reduce((sum, batch) => sum + batch.encode().length, 0)
      times.push(Number(process.hrtime.bigint() - begin) / 1e6)
      if (run.spans().length !== size || written === 0)
        throw new Error(`${run.spans().length} of ${size} left.`)
      traces = run.batches.length
    }
    const typical = median(times.slice(1))
    rows.push([
      size.toLocaleString('en-US'),
      `${typical.toFixed(2)} ms`,
      `${((typical / size) * 1000).toFixed(1)} µs`,
      `${goalMs} ms`,
      String(traces),
    ])
  }
  for (const line of tableLines(['spans', 'time', 'a span', 'goal ≤', 'batches'], rows)) print(line)
  print('')
}

/** Many traces at once, in arrival order, on a clock that the requests move: 10 s of them are held all the time. */
async function sustained({ isQuick }: BenchOptions, print: Print): Promise<void> {
  const traces = isQuick ? 400 : 4000
  const spans: KnownSpan[] = []
  for (let number = 0; number < traces; number++)
    spans.push(...thirtySpans(number, (number * 30e6) / spansASecond))
  const requests = requestsOf(spans, spansARequest)
  const bytes = requests.reduce((sum, { length }) => sum + length, 0)
  print(
    `assembly: ${traces.toLocaleString('en-US')} traces of ${spans.length / traces} spans, ${Math.round(bytes / spans.length)} bytes a span, ` +
      `requests of ${spansARequest} spans, idle_timeout 10 s at ${spansASecond.toLocaleString('en-US')} spans/s\n`,
  )
  const rounds: { ours: number; plain: number }[] = []
  for (let round = 0; round <= (isQuick ? 1 : 5); round++) {
    const ours = spans.length / (await secondsOf(() => associateAll(requests, spans.length)))
    const plain = spans.length / (await secondsOf(() => passThrough(requests)))
    if (round > 0) rounds.push({ ours, plain })
  }
  const ours = median(rounds.map(each => each.ours))
  const plain = median(rounds.map(each => each.plain))
  const ratio = median(rounds.map(each => each.ours / each.plain))
  const held = await heldPerSpan(requests.slice(0, Math.ceil(requests.length / 2)))
  const rows = [
    ['association', `${rounded(ours)} spans/s`, '150,000'],
    ['pass-through (read, write)', `${rounded(plain)} spans/s`, ''],
    ['ratio', ratio.toFixed(3), ''],
    ['memory per held span', `${rounded(held.total)} bytes`, ''],
    ['  of them OTLP', `${rounded(held.otlp)} bytes`, ''],
  ]
  for (const line of tableLines(['sustained', 'on one core', 'goal ≥'], rows)) print(line)
  print('')
}

const spansARequest = 256
const spansASecond = 6000

async function associateAll(requests: readonly Uint8Array[], expected: number): Promise<void> {
  const run = await startAssociation({ mode: 'rewrite' })
  let left = 0
  let written = 0
  const encodeAll = () => {
    for (const batch of run.batches.splice(0)) {
      left += batch.items
      written += batch.encode().length
    }
  }
  for (const bytes of requests) {
    run.input$.next(batchOfRequest(bytes, spansARequest))
    run.clock.advance((spansARequest / spansASecond) * 1000)
    encodeAll()
  }
  run.clock.advance(60_000)
  encodeAll()
  if (left !== expected || written === 0) throw new Error(`${left} spans left, not ${expected}.`)
}

function passThrough(requests: readonly Uint8Array[]): void {
  let written = 0
  for (const bytes of requests) {
    const { groups } = batchOfRequest(bytes, spansARequest)
    written += Batch.ofGroups(groups.map(group => ({ ...group }))).encode().length
  }
  if (written === 0) throw new Error('Nothing was written.')
}

/** Bytes of heap and buffers for each span that waits, requests that nobody else keeps included. */
async function heldPerSpan(requests: readonly Uint8Array[]): Promise<{ total: number; otlp: number }> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // Buffers are given back some time after they were collected.
  const usage = async () => {
    for (let round = 0; round < 4; round++) {
      collect()
      await new Promise(resolve => setImmediate(resolve))
    }
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const run = await startAssociation({ max_held_bytes: 2 ** 40 })
  const before = await usage()
  let items = 0
  let otlp = 0
  for (const bytes of requests) {
    const batch = batchOfRequest(Buffer.from(bytes), spansARequest)
    run.input$.next(batch)
    items += batch.items
    for (const { spans } of batch.groups) for (const { sizeBytes } of spans) otlp += sizeBytes
  }
  const total = (await usage()) - before
  if (run.batches.length > 0) throw new Error('Spans left before their time.')
  return { total: total / items, otlp: otlp / items }
}

async function secondsOf(work: () => Promise<void> | void): Promise<number> {
  const begin = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - begin) / 1e9
}
