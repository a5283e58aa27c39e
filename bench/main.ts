import { parseArgs } from 'node:util'
import { assembly } from './assembly/index.ts'
import { capture } from './capture/index.ts'
import { causality } from './causality/index.ts'
import { hints } from './hints/index.ts'
import { model } from './model/index.ts'
import type { BenchOptions, Part } from './part.ts'
import { relay } from './relay/index.ts'

/** Every part by its name, in the order in which they run when none is named. */
const parts: readonly Part[] = [model, assembly, causality, hints, relay, capture]

const usage = `Usage: npm run --silent bench -- [PART…] [options]

Measures Fullspan against what one would use instead. Every figure is taken in turn with its baseline (A B A B …) in the same
run: the median of several rounds, as it is and as a ratio.

Parts:
${parts.map(part => `  ${part.name.padEnd(10)}${part.description}`).join('\n')}

Options:
  --quick        a fast run to see that everything works; its figures mean little
  --peer PATH    relay: an OpenTelemetry Collector to measure in turn with us
<<<<<<< HEAD
  --profile DIR  relay: writes a CPU profile of Fullspan for each load
  --spans FILE   causality: guesses for one set, a line of JSON each
  --data FOLDER  causality: the sets to score (default ../shared/data/causality)
  --only TEXT    only rows whose name has this in it
=======
  --profile DIR  relay, capture: writes a CPU profile of Fullspan for each load
  --only TEXT    only rows whose name has this in it; capture: calls, throughput, steady or sustained
  --help         this text
`

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      peer: { type: 'string' },
      profile: { type: 'string' },
      spans: { type: 'string' },
      data: { type: 'string', default: '../shared/data/causality' },
      only: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  const unknown = positionals.find(name => !parts.some(part => part.name === name))
  if (unknown !== undefined) throw new RangeError(`There is no part "${unknown}".\n\n${usage}`)
  const { quick: isQuick, peer, profile, spans, data, only } = values
  const options: BenchOptions = { isQuick, peer, profile, spans, data, only }
  for (const part of parts) {
    if (positionals.length > 0 && !positionals.includes(part.name)) continue
    await part.run(options, line => process.stdout.write(`${line}\n`))
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
