import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { Batch } from '../../../model/batch.ts'
import type { Span } from '../../../model/span.ts'
import { type AssociationConfig, startAssociation } from '../../helpers/association.ts'
import { batchOf } from '../../helpers/stack.ts'
import { makeWorld, settings } from '../../helpers/trace-world.ts'

const runs = { numRuns: 40, seed: 20_261_128 }

t.test('what agents on hosts capture becomes the same trees at one Fullspan behind them', async t => {
  await fc.assert(
    fc.asyncProperty(settings, async of => {
      const { arrival } = makeWorld(of)
      const all = overTheWire(batchOf(arrival.map(({ piece }) => piece)))
      const together = await associated([all])
      const hosts = [...new Set(arrival.map(({ host }) => host))]
      const agents = hosts.map(host =>
        overTheWire(batchOf(arrival.filter(each => each.host === host).map(({ piece }) => piece))),
      )
      t.strictSame(treeOf(await associated(agents)), treeOf(together))
      // As well if every agent has associated what it sees already.
      const halves = await Promise.all(agents.map(async agent => associated([agent])))
      t.strictSame(treeOf(await associated(halves.flat().map(overTheWire))), treeOf(together))
    }),
    runs,
  )
})

for (const mode of ['rewrite', 'attach'] as const) {
  t.test(`${mode}: associating what was associated changes no byte`, async t => {
    await fc.assert(
      fc.asyncProperty(settings, async of => {
        const { arrival } = makeWorld(of)
        const once = await associated([batchOf(arrival.map(({ piece }) => piece))], { mode })
        const twice = await associated(once.map(overTheWire), { mode })
        t.strictSame(bytesOf(twice), bytesOf(once))
      }),
      runs,
    )
  })
}

async function associated(
  batches: readonly Batch[],
  change: Partial<AssociationConfig> = {},
): Promise<Batch[]> {
  const run = await startAssociation(change)
  for (const batch of batches) run.input$.next(batch)
  run.clock.advance(30_000)
  return run.batches
}

function overTheWire(batch: Batch): Batch {
  return Batch.ofRequest('traces', Buffer.from(batch.encode()), batch.items)
}

function treeOf(batches: readonly Batch[]): string[] {
  return spansOf(batches)
    .map(span => `${span.spanId} < ${span.parentSpanId}`)
    .sort()
}

/** A digest of each span with its resource and scope. */
function bytesOf(batches: readonly Batch[]): string[] {
  const lines: string[] = []
  for (const { groups } of batches) {
    for (const { resource, scope, spans } of groups) {
      for (const span of spans) {
        const hash = createHash('sha1')
        for (const bytes of [span.bytes, resource.bytes, scope.bytes]) hash.update(bytes ?? '')
        lines.push(`${span.spanId} ${span.name} ${hash.digest('hex')}`)
      }
    }
  }
  return lines.sort()
}

function spansOf(batches: readonly Batch[]): Span[] {
  return batches.flatMap(({ groups }) => groups.flatMap(({ spans }) => spans))
}
