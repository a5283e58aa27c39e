import { describeTrace } from './explain/describe.ts'
import { ambiguousTrace, badTraceId, noSuchTrace } from './explain/errors.ts'
import { readTraces } from './explain/read-traces.ts'

export interface ExplainOptions {
  /** A trace id, or its first digits. */
  readonly trace: string
}

/**
 * `fullspan explain`: of one trace in files of the `file` exporter, why each span has the parent that it has, by the
 * attributes that `span_association` wrote. Gives the text; throws FullspanError where the trace is not there or not the only one.
 */
export async function explain(files: readonly string[], { trace }: ExplainOptions): Promise<string> {
  const prefix = trace.toLowerCase()
  if (!/^[0-9a-f]{1,32}$/.test(prefix)) throw badTraceId(trace)
  const paths = files.length > 0 ? files : [defaultFile]
  const traces = await readTraces(paths, prefix, line => process.stderr.write(`${line}\n`))
  const [found, ...others] = traces
  if (!found) throw noSuchTrace(trace, paths)
  if (others.length > 0) throw ambiguousTrace(trace, [...traces.map(({ traceId }) => traceId)].sort())
  return describeTrace(found)
}

/** Where the config that ships writes traces. */
const defaultFile = 'fullspan-data/traces.jsonl'
