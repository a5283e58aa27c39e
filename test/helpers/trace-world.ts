import fc from 'fast-check'
import { createRandom } from './random.ts'
import type { Service, ServiceKind } from './service-facts.ts'
import { generateTrace, type KnownSpan, type Visit } from './trace-generator.ts'

/** Some traces of one world, what of them was seen, and in which order it came. */
export interface World {
  readonly known: readonly KnownSpan[]
  readonly kept: ReadonlySet<KnownSpan>
  readonly arrival: readonly KnownSpan[]
}

export interface Settings {
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

/** What worlds can be like. */
export const settings = fc.record<Settings>({
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

/** The same settings, the same world. */
export function makeWorld(of: Settings): World {
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
