import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { readJsonRequest } from '../../formats/otlp/json-read.ts'
import { Batch } from '../../model/batch.ts'
import type { Span } from '../../model/span.ts'
import { cannotRead } from './errors.ts'

export interface ExportedSpan {
  readonly span: Span
  readonly service: string
}

export interface ExportedTrace {
  readonly traceId: string
  /** Each once: the last version, where one was written again. */
  readonly spans: readonly ExportedSpan[]
}

/**
 * All traces whose id begins so, in files with an OTLP/JSON request a line and in those that they were rotated to. A line that is
 * none (the last one may be half written) is skipped and told to `warn`.
 */
export async function readTraces(
  paths: readonly string[],
  prefix: string,
  warn: (line: string) => void,
): Promise<readonly ExportedTrace[]> {
  const traces = new Map<string, Map<string, ExportedSpan>>()
  for (const path of paths) {
    for (const file of await withRotated(path)) await readFile(file)
  }
  return [...traces].map(([traceId, spans]) => ({ traceId, spans: [...spans.values()] }))

  async function readFile(file: string): Promise<void> {
    let number = 0
    try {
      for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
        number++
        // Most lines are of other traces: not worth parsing.
        if (!line.toLowerCase().includes(`"${prefix}`)) continue
        try {
          readLine(line)
        } catch (error) {
          warn(`${file}:${number}: skipped, since it is no OTLP/JSON request: ${String(error)}`)
        }
      }
    } catch (error) {
      throw cannotRead(file, error)
    }
  }

  function readLine(line: string): void {
    const { bytes } = readJsonRequest('traces', Buffer.from(line))
    for (const { resource, spans } of Batch.ofRequest('traces', bytes, 0).groups) {
      for (const span of spans) {
        if (!span.traceId.startsWith(prefix)) continue
        const known = traces.get(span.traceId) ?? new Map<string, ExportedSpan>()
        traces.set(span.traceId, known)
        // Client and server may share an id (Zipkin's way), but not the start.
        const key = `${span.spanId} ${span.startTimeUnixNano}`
        const before = known.get(key)?.span
        if (before && before.endTimeUnixNano > span.endTimeUnixNano) continue
        known.set(key, { span, service: resource.text('service.name') })
      }
    }
  }
}

/** `traces-2026-11-22T10-30-44.123.jsonl`, … and `traces.jsonl`: the oldest first. */
async function withRotated(path: string): Promise<string[]> {
  const extension = extname(path)
  const stem = basename(path, extension)
  const folder = dirname(path)
  const stamp = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/
  const names = await readdir(folder).catch((error: unknown) => {
    throw cannotRead(path, error)
  })
  const rotated = names.filter(
    name =>
      name.startsWith(`${stem}-`) &&
      name.endsWith(extension) &&
      stamp.test(name.slice(stem.length + 1, name.length - extension.length)),
  )
  return [...rotated.sort().map(name => join(folder, name)), path]
}
