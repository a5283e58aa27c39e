import { join } from 'node:path'
import { associationDefaults } from '../../test/helpers/association.ts'
import type { BenchOptions, Part } from '../part.ts'
import { inferCauses } from './infer.ts'
import { scoreOf } from './score.ts'
import { compress, readSpans, readTruth, setsIn } from './sets.ts'

type Print = (line: string) => void

/** How often the statistics of `span_association` find the request that caused a call, on data with known causes. */
export const causality: Part = {
  name: 'causality',
  description:
    'span_association: which request caused which call, by statistics alone (--spans FILE, or --data FOLDER)',
  async run(options, print) {
    if (options.spans !== undefined) await printGuesses(options.spans, print)
    else await printTable(options, print)
  },
}

/** A line of JSON for each `out` span: every best guess, also below the threshold. */
async function printGuesses(file: string, print: Print): Promise<void> {
  for (const guess of await inferCauses(readSpans(file))) print(JSON.stringify(guess))
}

async function printTable({ data, isQuick, only }: BenchOptions, print: Print): Promise<void> {
  const sets = setsIn(data)
  if (sets.length === 0) {
    print(`causality: no sets in ${data}; name their folder with --data, or one file with --spans.\n`)
    return
  }
  print(
    'causality: share of calls with the right request (best guess), and of whole traces; wrong and unlinked at min_confidence\n',
  )
  const header = ['parents', 'traces', 'wrong', 'unlinked', 'overconfident', 'CPU s', 'heap MiB']
  const line = (set: string, factor: string, cells: readonly string[]) =>
    [
      set.padEnd(18),
      factor.padStart(4),
      ...cells.map((cell, at) => cell.padStart(header[at]!.length + 1)),
    ].join(' ')
  print(line('set', '×', header))
  for (const set of sets) {
    if (!set.includes(only)) continue
    const truth = readTruth(join(data, `${set}.truth.jsonl.gz`))
    const spans = readSpans(join(data, `${set}.spans.jsonl.gz`))
    for (const factor of isQuick ? [1] : [1, 3, 10, 30]) {
      print(line(set, `${factor}`, await measure(compress(spans, truth, factor), truth)))
    }
  }
  print('')
}

async function measure(
  spans: Parameters<typeof scoreOf>[0],
  truth: Parameters<typeof scoreOf>[1],
): Promise<string[]> {
  const begin = process.cpuUsage()
  const guesses = await inferCauses(spans)
  const { user, system } = process.cpuUsage(begin)
  const score = scoreOf(spans, truth, { guesses, minConfidence: associationDefaults.min_confidence })
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  return [
    percent(score.parents),
    percent(score.traces),
    percent(score.wrong),
    percent(score.unlinked),
    percent(score.overconfidence),
    ((user + system) / 1e6).toFixed(1),
    (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0),
  ]
}
