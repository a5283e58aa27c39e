import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import { createClocks } from '../../../processors/span_association/clocks.ts'
import { associate } from '../../helpers/association.ts'
import type { Service } from '../../helpers/service-facts.ts'
import { exchange, sight, treeOf } from '../../helpers/stack.ts'
import { generateTrace, type KnownSpan } from '../../helpers/trace-generator.ts'

const millisecondNs = 1e6

t.test('hosts whose clocks differ by 80 ms, no trace id anywhere: the server half is found', async t => {
  const skewUs = 80_000
  const spans = await associate([
    sight({ point: 'c-p', seq: 1, from: 0, to: 5000, pid: 1, host: 'a' }),
    sight({ point: 'c', seq: 1, from: 20, to: 4980, host: 'a', interface: 'eth-a' }),
    sight({ point: 's', seq: 1, from: 200 + skewUs, to: 4800 + skewUs, host: 'b', interface: 'eth-b' }),
    sight({ point: 's-p', seq: 1, from: 220 + skewUs, to: 4780 + skewUs, pid: 2, host: 'b' }),
  ])
  t.strictSame(treeOf(spans), { 'c-p 1': '', 'c eth-a': 'c-p 1', 's eth-b': 'c eth-a', 's-p 2': 's eth-b' })
})

for (const skewMs of [200, -200, 90_000]) {
  t.test(`${skewMs} ms between hosts lose no link and put nothing out of order`, async t => {
    const spans = await associate(across(skewMs * 1000).map(({ piece }) => piece))
    const roots = spans.filter(span => span.parentSpanId === '')
    t.equal(roots.length, 1)
    t.equal(roots[0]?.text(names.observationPoint), 'c-p')
    t.notOk(
      spans.some(span => span.attributes.has(names.clockImpossible)),
      'by corrected times all lie in their parents',
    )
    const skewed = spans.find(span => span.text(names.observationPoint) === 's')
    t.ok(Math.abs(skewed!.number(names.clockOffset)! - skewMs * millisecondNs) < millisecondNs)
    t.ok(skewed!.number(names.clockUncertainty)! < millisecondNs)
    const right = spans.find(span => span.text(names.observationPoint) === 'c-p')
    t.notOk(right?.attributes.has(names.clockOffset), 'the reference is not skewed')
  })
}

t.test(
  'a gateway between two hosts that were only seen at their interfaces nests by corrected times',
  async t => {
    const skewUs = 300_000
    const requestId = { [names.keyRequestId]: 'r' }
    const spans = await associate([
      sight({ point: 'c', seq: 1, from: 0, to: 9000, host: 'a', interface: 'eth-1', attributes: requestId }),
      sight({
        point: 's',
        seq: 1,
        from: 200 + skewUs,
        to: 8800 + skewUs,
        host: 'b',
        interface: 'eth-2',
        attributes: requestId,
      }),
      sight({
        point: 'c',
        seq: 2,
        from: 1000 + skewUs,
        to: 8000 + skewUs,
        host: 'b',
        interface: 'eth-3',
        attributes: requestId,
      }),
      sight({
        point: 's',
        seq: 2,
        from: 1200,
        to: 7800,
        host: 'a',
        interface: 'eth-4',
        attributes: requestId,
      }),
    ])
    t.strictSame(treeOf(spans), {
      'c eth-1': '',
      's eth-2': 'c eth-1',
      'c eth-3': 's eth-2',
      's eth-4': 'c eth-3',
    })
  },
)

t.test('a child that cannot have begun when it says is kept, in its place, and marked', async t => {
  const spans = await associate([
    sight({ point: 'c-p', seq: 1, from: 10_000, to: 20_000, pid: 1 }),
    sight({ point: 's-p', seq: 1, from: 2000, to: 19_000, pid: 2 }),
    ...exchange({ seq: 2, from: 3000, to: 3000, client: { pid: 3 }, path: [] }),
  ])
  const odd = spans.find(span => span.name === 's-p 2')
  t.equal(treeOf(spans)['s-p 2'], 'c-p 1')
  t.equal(odd?.text(names.clockImpossible), 'starts_before_parent')
  t.equal(
    spans.find(span => span.name === 'c-p 3')?.endTimeUnixNano,
    odd!.startTimeUnixNano + 1_000_000n,
    'a zero-length span leaves as it is',
  )
})

t.test(
  'follows drift, takes the exchanges with the least delay, and forgets what a clock that was set said before',
  t => {
    const clocks = createClocks()
    const [a, b, c] = ['a', 'b', 'c'].map(clocks.of) as [Clock, Clock, Clock]
    let nowMs = 0
    const see = (from: Clock, to: Clock, { offsetMs, delayMs }: { offsetMs: number; delayMs: number }) =>
      clocks.see(
        {
          from,
          to,
          requestLeftNs: 0,
          requestCameNs: (offsetMs + delayMs) * millisecondNs,
          responseLeftNs: (offsetMs + delayMs + 1) * millisecondNs,
          responseCameNs: (2 * delayMs + 1) * millisecondNs,
        },
        nowMs,
      )
    for (const delayMs of [30, 0.2, 12]) see(a, b, { offsetMs: 50, delayMs })
    see(b, c, { offsetMs: 7, delayMs: 0.3 })
    t.ok(clocks.update(nowMs))
    t.ok(isNear(b.offsetNs, 50, 0.2))
    t.ok(b.uncertaintyNs <= 0.2 * millisecondNs)
    t.ok(isNear(c.offsetNs, 57, 0.5), 'by way of b')
    t.equal(a.offsetNs, 0)

    for (let step = 0; step < 60; step++) {
      nowMs += 5000
      see(a, b, { offsetMs: 50 + step * 0.5, delayMs: 0.2 })
      clocks.update(nowMs)
      t.ok(isNear(b.offsetNs, 50 + step * 0.5, 0.8), `100 ppm for ${nowMs} ms`)
    }
    nowMs += 5000
    see(a, b, { offsetMs: -3000, delayMs: 0.2 })
    clocks.update(nowMs)
    t.ok(isNear(b.offsetNs, -3000, 0.2), 'set')
    t.end()
  },
)

type Clock = ReturnType<ReturnType<typeof createClocks>['of']>

function isNear(ns: number, ms: number, withinMs: number): boolean {
  return Math.abs(ns / millisecondNs - ms) <= withinMs
}

/** client (a) → gateway (b) → agent (a) → database (b); b's clock is ahead by `skewUs`. */
function across(skewUs: number): KnownSpan[] {
  const service = (name: string, kind: Service['kind'], host: string, pid: number) => ({
    name,
    kind,
    host,
    pid,
  })
  const database = { service: service('mariadb', 'database', 'b', 4), calls: [] }
  const storefront = { service: service('storefront', 'opentelemetry', 'a', 3), calls: [database] }
  const gateway = { service: service('nginx', 'gateway', 'b', 2), calls: [storefront] }
  return generateTrace({
    seed: 3,
    number: 1,
    client: service('curl', 'threads', 'a', 1),
    visit: gateway,
    startUs: 0,
    skewUs: { b: skewUs },
  })
}
