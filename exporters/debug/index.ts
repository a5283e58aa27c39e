import { defineExporter, type Export } from '../../core/component.ts'
import { FullspanError } from '../../core/errors.ts'
import type { Batch } from '../../model/batch.ts'
import { printTree } from './print-tree.ts'
import { type TraceTree, treesOf } from './trace-tree.ts'

/**
 * Prints each finished trace as an indented tree on standard output: layer, observation point, service or interface, name,
 * duration, and the rule that linked the span. Late spans of a printed trace are `late: N joined`. More traces than
 * `max_traces_per_second` are counted and said once a second.
 */
export default defineExporter({
  type: 'debug',
  description: 'Prints traces as trees on standard output, for people to look at.',
  stability: 'alpha',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      max_traces_per_second: {
        type: 'integer',
        minimum: 0,
        default: 1,
        description: 'So many traces a second are printed whole; the others are counted. 0 prints them all.',
      },
      min_spans: {
        type: 'integer',
        minimum: 1,
        default: 1,
        description: 'Traces of fewer spans are only counted.',
      },
      colors: {
        type: 'string',
        enum: ['auto', 'always', 'never'],
        default: 'auto',
        description: '`auto`: colours if standard output is a terminal and NO_COLOR is not set.',
      },
    },
  },
  create(config, { clock }) {
    const print = createPrinter({
      write: text => (pending += text),
      nowMs: () => clock.nowMs(),
      maxPerSecond: config.max_traces_per_second,
      minSpans: config.min_spans,
      useColour: config.colors === 'always' || (config.colors === 'auto' && isColourTerminal()),
    })
    let pending = ''
    // A failed write tells its caller; the event would end the process.
    process.stdout.on('error', () => undefined)
    const deliver: Export = async batch => {
      pending = ''
      print(batch)
      if (pending !== '') await writeOut(pending)
    }
    return deliver
  },
})

/** What reads our standard output may be slow, full or gone. */
function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, cause => {
      if (cause) reject(cannotPrint(cause))
      else resolve()
    })
  })
}

function cannotPrint(cause: Error): FullspanError {
  return new FullspanError({
    code: 'DEBUG_CANNOT_PRINT',
    remedy: 'drop',
    message: `debug cannot print to standard output: ${cause.message}`,
    cause,
  })
}

function isColourTerminal(): boolean {
  return process.stdout.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb'
}

export interface PrinterOptions {
  readonly write: (text: string) => void
  readonly nowMs: () => number
  readonly maxPerSecond: number
  readonly minSpans: number
  readonly useColour: boolean
}

/** How many printed traces are known by id, so that late spans are told from new traces. */
const rememberedTraces = 10_000

/** Apart from the component, so that tests can look at what it writes. */
export function createPrinter(options: PrinterOptions): (batch: Batch) => void {
  const printed = new Set<string>()
  let second = 0
  let inSecond = 0
  let skipped = { traces: 0, spans: 0 }

  return batch => {
    startSecond()
    if (batch.signal !== 'traces') {
      options.write(`${batch.signal}: ${batch.items} items\n`)
      return
    }
    for (const tree of treesOf(batch)) printTrace(tree)
  }

  function startSecond(): void {
    const now = Math.floor(options.nowMs() / 1000)
    if (now === second) return
    if (skipped.traces > 0) options.write(`… and ${skipped.traces} more traces with ${skipped.spans} spans\n`)
    skipped = { traces: 0, spans: 0 }
    second = now
    inSecond = 0
  }

  function printTrace(tree: TraceTree): void {
    if (printed.has(tree.traceId)) {
      options.write(`trace ${tree.traceId}  late: ${tree.lines.length} joined\n`)
      return
    }
    const isTooMuch = options.maxPerSecond > 0 && inSecond >= options.maxPerSecond
    if (isTooMuch || tree.lines.length < options.minSpans) {
      skipped = { traces: skipped.traces + 1, spans: skipped.spans + tree.lines.length }
      return
    }
    inSecond++
    remember(tree.traceId)
    options.write(printTree(tree, options.useColour))
  }

  function remember(traceId: string): void {
    printed.add(traceId)
    if (printed.size <= rememberedTraces) return
    const [oldest] = printed
    if (oldest !== undefined) printed.delete(oldest)
  }
}
