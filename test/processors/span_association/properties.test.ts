import fc from 'fast-check'
import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import type { Span } from '../../../model/span.ts'
import { associate, type AssociationConfig } from '../../helpers/association.ts'
import { createRandom } from '../../helpers/random.ts'
import { keptCause, type KnownSpan } from '../../helpers/trace-generator.ts'
import { makeWorld, settings } from '../../helpers/trace-world.ts'

function run(arrival: readonly KnownSpan[], change: Partial<AssociationConfig> = {}): Promise<Span[]> {
  return associate(
    arrival.map(({ piece }) => piece),
    change,
  )
}

const runs = { numRuns: 70, seed: 20_261_128 }

t.test('spans in any order of arrival give the same trees', async t => {
  await fc.assert(
    fc.asyncProperty(settings, async of => {
      const { arrival, kept } = makeWorld(of)
      const first = await run(arrival)
      const second = await run(createRandom(of.seed + 1).shuffled([...kept]))
      const trees = (spans: readonly Span[]) =>
        spans.map(span => `${span.spanId} < ${span.parentSpanId} ${span.text(names.linkRule)}`).sort()
      t.strictSame(trees(first), trees(second))
    }),
    runs,
  )
})

t.test('no proven link is missed, and none contradicts a proof', async t => {
  let proven = 0
  await fc.assert(
    fc.asyncProperty(settings, async of => {
      const { arrival, kept } = makeWorld(of)
      const left = new Map((await run(arrival)).map(span => [span.spanId, span]))
      for (const span of kept) {
        const { parent, proof, piece } = span
        if (!parent || !kept.has(parent) || proof === undefined) continue
        proven++
        const found = left.get(piece.span.spanId)
        // A second OpenTelemetry trace keeps its id, and only points to what caused it.
        const pointsTo = found?.parentSpanId || found?.links[0]?.spanId
        t.equal(
          pointsTo,
          parent.piece.span.spanId,
          `${nameOf(span)} under ${nameOf(parent)} by ${proof}, ${JSON.stringify(of)}`,
        )
      }
    }),
    runs,
  )
  t.ok(proven > 1000, `${proven} links`)
})

t.test('no parent at confidence 1 is wrong', async t => {
  await fc.assert(
    fc.asyncProperty(settings, async of => {
      const { arrival, kept, known } = makeWorld(of)
      const byId = new Map(known.map(span => [span.piece.span.spanId, span]))
      for (const span of await run(arrival)) {
        if (span.number(names.linkConfidence) !== 1) continue
        const truth = byId.get(span.spanId)!
        const parent = byId.get(span.parentSpanId)
        // A header may name a span that was lost.
        if (parent && !kept.has(parent))
          t.ok(
            causes(truth).includes(parent),
            `${nameOf(truth)} by ${span.text(names.linkRule)}, ${JSON.stringify(of)}`,
          )
        else
          t.equal(
            span.parentSpanId,
            keptCause(truth, kept)?.piece.span.spanId,
            `${nameOf(truth)} by ${span.text(names.linkRule)}, ${JSON.stringify(of)}`,
          )
      }
    }),
    runs,
  )
})

function causes(span: KnownSpan): KnownSpan[] {
  const all: KnownSpan[] = []
  for (let above = span.parent; above; above = above.parent) all.push(above)
  return all
}

function nameOf({ piece: { span, resource }, host }: KnownSpan): string {
  return `${span.text(names.observationPoint) || 'app'} ${span.name} ${resource.text('service.name')} at ${host}`
}
