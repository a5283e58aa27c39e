import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** A span of a causality set: what a tracer without any instrumentation sees. Times in µs since the epoch. */
export interface SetSpan {
  readonly id: number
  readonly service: string
  readonly side: 'in' | 'out'
  readonly op: string
  readonly start_us: number
  readonly end_us: number
  /** Shared by the `out` span of the caller and the `in` span of the callee. */
  readonly call?: number | null
  /** The service called; `out` only. */
  readonly peer?: string
}

/** What really happened: the trace of a span and, for an `out` span, the `in` span that caused it. */
export interface Truth {
  readonly id: number
  readonly trace: number
  readonly parent: number | null
}

/** Reads a set, plain or gzipped: a JSON object a line. Throws if the file cannot be read or a line is none. */
export function readSpans(file: string): SetSpan[] {
  return readLines(file) as SetSpan[]
}

export function readTruth(file: string): ReadonlyMap<number, Truth> {
  return new Map((readLines(file) as Truth[]).map(truth => [truth.id, truth]))
}

function readLines(file: string): unknown[] {
  const bytes = readFileSync(file)
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8')
  return text
    .split('\n')
    .map((line, at): unknown => {
      if (line.trim() === '') return undefined
      try {
        return JSON.parse(line)
      } catch (error) {
        throw new Error(`${file}:${at + 1}: a line must be a JSON object.`, { cause: error })
      }
    })
    .filter(line => line !== undefined)
}

/** Names of the sets in a folder: `<name>.spans.jsonl.gz` beside `<name>.truth.jsonl.gz`. */
export function setsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  const ending = '.spans.jsonl.gz'
  return readdirSync(folder)
    .filter(file => file.endsWith(ending) && existsSync(join(folder, file.replace('.spans.', '.truth.'))))
    .map(file => file.slice(0, -ending.length))
}

/** Moves every trace towards the first, so that the gaps between their starts shrink k-fold: more of them overlap. */
export function compress(
  spans: readonly SetSpan[],
  truth: ReadonlyMap<number, Truth>,
  factor: number,
): SetSpan[] {
  const starts = new Map<number, number>()
  for (const { id, start_us } of spans) {
    const trace = truth.get(id)!.trace
    starts.set(trace, Math.min(starts.get(trace) ?? Infinity, start_us))
  }
  const first = [...starts.values()].reduce((least, start) => Math.min(least, start), Infinity)
  return spans
    .map(span => {
      const shift = Math.round((starts.get(truth.get(span.id)!.trace)! - first) * (1 / factor - 1))
      return { ...span, start_us: span.start_us + shift, end_us: span.end_us + shift }
    })
    .sort((a, b) => a.end_us - b.end_us || a.id - b.id)
}
