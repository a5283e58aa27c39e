import fc from 'fast-check'
import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import type { Span } from '../../../model/span.ts'
import { associate, type AssociationConfig } from '../../helpers/association.ts'
import { createRandom } from '../../helpers/random.ts'
import type { Service, ServiceKind } from '../../helpers/service-facts.ts'
import { generateTrace, keptCause, type KnownSpan, type Visit } from '../../helpers/trace-generator.ts'

/** Some traces of one world, what of them was seen, and in which order it came. */
interface World {
  readonly known: readonly KnownSpan[]
  readonly kept: ReadonlySet<KnownSpan>
  readonly arrival: readonly KnownSpan[]
}

interface Settings {
  readonly seed: number
  readonly traces: number
  readonly depth: number
  readonly fanOut: number
  readonly skewMs: number
  /** Share of the spans that never come. */
  readonly lost: number
  readonly isNat: boolean
  /** All traces use the same sequence numbers. */
  readonly isSeqShared: boolean
  readonly gapUs: number
}

const settings = fc.record<Settings>({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  traces: fc.integer({ min: 1, max: 4 }),
  depth: fc.integer({ min: 1, max: 4 }),
  fanOut: fc.integer({ min: 1, max: 3 }),
  skewMs: fc.constantFrom(0, 0, 80, 200, -200, 5000),
  lost: fc.constantFrom(0, 0, 0.1, 0.3),
  isNat: fc.boolean(),
  isSeqShared: fc.boolean(),
  gapUs: fc.constantFrom(0, 300, 20_000),
})

const kinds: readonly ServiceKind[] = ['opentelemetry', 'skywalking', 'gateway', 'threads', 'database']

function makeWorld(of: Settings): World {
  const random = createRandom(of.seed)
  const hosts = ['host-a', 'host-b', 'host-c']
  let pid = 100
  const services = Array.from({ length: 6 }, (_, index): Service => {
    const kind = kinds[index % kinds.length]!
    return { name: `${kind}-${index}`, kind, host: hosts[random.below(3)]!, pid: pid++ }
  })
  const callers = services.filter(({ kind }) => kind !== 'database')
  const client: Service = { name: 'client', kind: 'threads', host: hosts[0]!, pid: 99 }
  // No gateway sends requests to itself, at least not several at once with one header.
  const visitOf = (depth: number, caller = client): Visit => {
    const able = (depth === 1 ? services : callers).filter(each => each !== caller || each.kind !== 'gateway')
    const service = able[random.below(able.length)]!
    const count = depth === 1 || service.kind === 'database' ? 0 : 1 + random.below(of.fanOut)
    const calls = Array.from({ length: count }, () => visitOf(depth - 1, service))
    return { service, calls, isParallel: random.chance(0.3) }
  }
  const known: KnownSpan[] = []
  for (let number = 0; number < of.traces; number++) {
    const trace = generateTrace({
      seed: of.seed * 10 + number,
      number,
      client,
      visit: visitOf(of.depth),
      startUs: number * of.gapUs,
      skewUs: { [hosts[1]!]: of.skewMs * 1000, [hosts[2]!]: -of.skewMs * 500 },
      isNat: of.isNat,
      ...(of.isSeqShared ? { firstSeq: 5000 } : {}),
    })
    known.push(...trace)
  }
  const kept = new Set(known.filter(() => !random.chance(of.lost)))
  return { known, kept, arrival: random.shuffled([...kept]) }
}

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
        t.equal(pointsTo, parent.piece.span.spanId, `${nameOf(span)} under ${nameOf(parent)} by ${proof}, ${JSON.stringify(of)}`)
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
        if (parent && !kept.has(parent)) t.ok(causes(truth).includes(parent), `${nameOf(truth)} by ${span.text(names.linkRule)}, ${JSON.stringify(of)}`)
        else t.equal(span.parentSpanId, keptCause(truth, kept)?.piece.span.spanId, `${nameOf(truth)} by ${span.text(names.linkRule)}, ${JSON.stringify(of)}`)
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
