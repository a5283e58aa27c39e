import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readJsonRequest } from '../../formats/otlp/json-read.ts'
import { names } from '../../model/attribute-names.ts'
import { Batch } from '../../model/batch.ts'

/** The batches of a file that Fullspan's `file` exporter wrote: OTLP JSON, one request a line. */
export function readBatches(file: string): Batch[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  // The last line may be half written.
  const whole = lines.slice(0, -1).filter(line => line !== '')
  return whole.map(line => {
    const { bytes } = readJsonRequest('traces', Buffer.from(line))
    return Batch.ofRequest('traces', bytes, 0)
  })
}

/** The batch of the trace in which a request with this X-Request-ID was seen, once it has left. */
export async function waitForTrace(
  file: string,
  requestId: string,
  timeoutMs: number,
): Promise<Batch | undefined> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = readBatches(file).find(batch => carries(batch, requestId))
    if (found || Date.now() > deadline) return found
    await sleep(200)
  }
}

export function carries(batch: Batch, requestId: string): boolean {
  return batch.groups.some(({ spans }) => spans.some(span => span.text(names.keyRequestId) === requestId))
}
