import t from 'tap'
import { names } from '../../../model/attribute-names.ts'
import { Batch, groupSpans } from '../../../model/batch.ts'
import { createResource, createScope } from '../../../model/resource.ts'
import { Span, spanKind } from '../../../model/span.ts'
import { DelayDensity, entropyOf } from '../../../processors/span_association/statistics/delay.ts'
import { createKinds, wordsOf } from '../../../processors/span_association/statistics/kinds.ts'
import { createProcessStatistics } from '../../../processors/span_association/statistics/process-statistics.ts'
import { createRandom } from '../../../processors/span_association/statistics/random.ts'
import { startAssociation } from '../../helpers/association.ts'
import { batchOf, sight } from '../../helpers/stack.ts'

const ms = 1e6

/** A request and the calls that it caused, in ns. */
interface Known {
  readonly start: number
  readonly end: number
  readonly calls: readonly { readonly start: number; readonly end: number; readonly kind: number }[]
}

t.test('calls find their requests among many that are open, by what delays are usual', t => {
  const requests = simulate({ count: 600, meanGap: 4 * ms, random: createRandom(1) })
  const { right, calls, wrong } = judge(requests)
  t.ok(concurrencyOf(requests) > 4, 'several are open at once')
  t.ok(right / calls > 0.95, `${right} of ${calls}`)
  t.ok(wrong.filter(({ confidence }) => confidence >= 0.8).length / calls < 0.01)
  t.end()
})

t.test('where a process serves in order, order is learnt and tells', t => {
  const random = createRandom(2)
  const requests: Known[] = []
  let free = 0
  for (let at = 0; at < 600; at++) {
    const start = at * 6 * ms + Math.floor(random() * 10 * ms)
    free = Math.max(free, start) + Math.floor((0.5 + random() * 10) * ms)
    const end = free + Math.floor((2 + random() * 30) * ms)
    requests.push({
      start,
      end: end + Math.floor(random() * 10 * ms),
      calls: [{ start: free, end, kind: 0 }],
    })
  }
  requests.sort((a, b) => a.start - b.start)
  const starts = requests.map(({ calls: [call] }) => call!.start)
  for (const [at, request] of requests.entries()) {
    const [call] = request.calls
    Object.assign(call!, { start: [...starts].sort((a, b) => a - b)[at]! })
  }
  const inOrder = requests.filter(
    ({ start, end, calls: [call] }) => call!.start >= start && call!.end <= end && call!.end > call!.start,
  )
  const { right, calls } = judge(inOrder)
  t.ok(right / calls > 0.97, `${right} of ${calls}`)
  t.end()
})

t.test('optional calls are left out where none was made', t => {
  const random = createRandom(3)
  const requests = simulate({ count: 600, meanGap: 5 * ms, random }).map((request, at) =>
    at % 3 === 0 ? { ...request, end: request.start + 3 * ms, calls: [] } : request,
  )
  const { right, calls } = judge(requests)
  t.ok(right / calls > 0.9, `${right} of ${calls}`)
  t.end()
})

t.test('confidence keeps its word', t => {
  const requests = simulate({ count: 1500, meanGap: 1 * ms, random: createRandom(4) })
  const { guesses } = judge(requests)
  for (let tenth = 5; tenth < 10; tenth++) {
    const some = guesses.filter(({ confidence }) => Math.min(9, Math.floor(confidence * 10)) === tenth)
    const right = some.filter(({ isRight }) => isRight).length
    if (some.length >= 30)
      t.ok(right / some.length > tenth / 10 - 0.1, `${right} of ${some.length} at 0.${tenth}`)
  }
  t.end()
})

t.test('the order of arrival changes nothing', t => {
  const requests = simulate({ count: 200, meanGap: 2 * ms, random: createRandom(5) })
  t.same(
    judge([...requests].reverse())
      .guesses.map(asText)
      .sort(),
    judge(requests).guesses.map(asText).sort(),
  )
  t.end()

  function asText({
    call,
    confidence,
    isRight,
  }: {
    call: string
    confidence: number
    isRight: boolean
  }): string {
    return `${call} ${confidence.toFixed(6)} ${isRight}`
  }
})

t.test('a few requests do not explain themselves', t => {
  const requests = simulate({ count: 3, meanGap: 2 * ms, random: createRandom(6) })
  for (const { confidence } of judge(requests).guesses) t.ok(confidence < 0.5)
  t.end()
})

t.test('more calls than can be looked at are passed over and counted', t => {
  const statistics = createProcessStatistics<string, string>({
    mostAtOnce: 50,
    decideAfterMs: 10,
    patienceMs: 10,
  })
  const requests = simulate({ count: 100, meanGap: 2 * ms, random: createRandom(7) })
  fill(statistics, requests)
  const decisions = statistics.decide(Infinity, true)
  t.equal(decisions.length, 50)
  t.equal(statistics.passedOver, 150)
  t.end()
})

t.test('hundreds of requests alike, open at once, are judged in steps of bounded work', t => {
  const statistics = createProcessStatistics<string, string>({
    mostAtOnce: 5000,
    decideAfterMs: 10,
    patienceMs: 10,
  })
  const call = { start: 500_001, end: 900_001, kind: 0 }
  fill(
    statistics,
    Array.from({ length: 300 }, (_, at) => ({ start: at % 3, end: 1_000_001, calls: [call] })),
  )
  const steps = statistics.decideInSteps(Infinity, true)
  let next = steps.next()
  let [count, most, sum] = [0, 0, 0]
  for (; !next.done; next = steps.next()) {
    count++
    most = Math.max(most, next.value)
    sum += next.value
  }
  t.equal(next.value.length, 300, 'every call is decided')
  t.ok(
    next.value.every(({ confidence }) => confidence < 0.8),
    'none of them for sure',
  )
  t.ok(count > 100 && most < 2_000_000, `${count} steps of at most ${most}`)
  t.ok(sum < 60_000_000, `work ${sum}`)
  t.end()
})

t.test('what statistics cannot decide in one go is waited for, and nothing of it is lost', async t => {
  const pieces = Array.from({ length: 400 }, (_, at) => [
    sight({ point: 's-p', seq: 2 * at + 1, pid: 7, from: at % 3, to: 1_000_000 }),
    sight({ point: 'c-p', seq: 2 * at + 2, pid: 7, from: 500, to: 900 }),
  ]).flat()
  const run = await startAssociation()
  run.input$.next(batchOf(pieces))
  run.clock.advance(30_000)
  t.equal(run.spans().length, pieces.length)
  t.equal(new Set(run.spans().map(({ spanId }) => spanId)).size, pieces.length)
})

t.test('a call whose cause is known teaches, and is not given away', t => {
  const statistics = createProcessStatistics<string, string>({
    mostAtOnce: 5000,
    decideAfterMs: 10,
    patienceMs: 10,
  })
  const requests = simulate({ count: 100, meanGap: 2 * ms, random: createRandom(8) })
  fill(statistics, requests, at => at % 2 === 0)
  const decisions = statistics.decide(Infinity, true)
  t.equal(decisions.length, 100)
  t.ok(decisions.every(({ call }) => Number(call.split('.')[0]) % 2 === 1))
  const right = decisions.filter(({ call, cause }) => cause === call.split('.')[0]).length
  t.ok(right > 90, String(right))
  t.end()
})

t.test('densities add up to one and follow their samples', t => {
  const density = new DelayDensity(1000)
  const random = createRandom(9)
  for (let at = 0; at < 500; at++) density.settle((1 + random()) * ms, 1)
  density.fit()
  let sum = 0
  for (let delay = -20 * ms; delay < 100 * ms; delay += 0.01 * ms)
    sum += Math.exp(density.log(delay)) * 0.01 * ms
  t.ok(Math.abs(sum - 1) < 0.03, String(sum))
  t.ok(density.log(1.5 * ms) > density.log(5 * ms) + 3)
  density.age(100)
  t.equal(density.weight, 100)
  t.ok(entropyOf([1, 2, 3, 4, 5], 1) < entropyOf([1, 200, 3000, 40_000, 5], 1))
  t.end()
})

t.test('numbers and ids make no kinds of their own, and may turn up again', t => {
  const kinds = createKinds()
  t.equal(kinds.numberOf('GET /user/123/orders'), kinds.numberOf('GET /user/77f0/orders'))
  t.not(kinds.numberOf('GET /v1/user'), kinds.numberOf('GET /v2/user'))
  for (let at = 0; at < 200; at++) t.ok(kinds.numberOf(`GET /${'x'.repeat(at + 1)}`) < 64)
  t.same(wordsOf('/user/a81b-22/basket'), ['a81b-22'])
  t.same(wordsOf('/healthz'), [])
  t.end()
})

t.test(
  'in the processor: a link by statistics, with its confidence; none below the threshold, none when off',
  async t => {
    const requests = simulate({ count: 400, meanGap: 4 * ms, random: createRandom(10) })
    const linked = await associate(requests, {})
    const count = linked.filter(span => span.text(names.linkRule) === 'statistics').length
    t.ok(count > 600, String(count))
    const rightly = linked.filter(span => span.parentSpanId !== '' && isChild(span)).length
    t.ok(linked.filter(({ parentSpanId }) => parentSpanId !== '').length - rightly < 8)
    t.ok(linked.every(span => span.parentSpanId === '' || (span.number(names.linkConfidence) ?? 0) >= 0.8))
    const off = await associate(requests, { enabled: false })
    t.ok(off.every(({ parentSpanId }) => parentSpanId === ''))

    function isChild({ spanId, parentSpanId }: Span): boolean {
      return spanId.slice(0, 8) === parentSpanId.slice(0, 8)
    }
  },
)

async function associate(requests: readonly Known[], change: { enabled?: boolean }): Promise<Span[]> {
  const statistics = { enabled: true, decide_after: 2000, max_at_once: 5000, max_processes: 10, ...change }
  const run = await startAssociation({ mode: 'attach', statistics })
  const base = BigInt(run.clock.nowMs()) * 1_000_000n
  const resource = createResource([[names.hostId, 'one']])
  const scope = createScope('fullspan/sys')
  const spans = requests.flatMap(({ start, end, calls }, at) => {
    const id = (at + 1).toString(16).padStart(8, '0')
    return [
      sys(`${id}00000001`, 's-p', { start, end, name: 'GET /' }),
      ...calls.map((call, of) => sys(`${id}0000001${of}`, 'c-p', { ...call, name: `call ${call.kind}` })),
    ]
  })
  const bytes = Batch.ofGroups(groupSpans(spans.map(span => ({ resource, scope, span })))).encode()
  run.input$.next(Batch.ofRequest('traces', bytes, spans.length))
  run.clock.advance(30_000)
  return run.spans().filter(span => span.text(names.observationPoint) === 'c-p')

  function sys(
    spanId: string,
    point: string,
    { start, end, name }: { start: number; end: number; name: string },
  ): Span {
    return Span.create({
      traceId: spanId.padStart(32, 'f'),
      spanId,
      parentSpanId: '',
      name,
      kind: point === 's-p' ? spanKind.server : spanKind.client,
      startTimeUnixNano: base + BigInt(start),
      endTimeUnixNano: base + BigInt(end),
      attributes: [
        [names.layer, 'sys'],
        [names.observationPoint, point],
        [names.keyProcess, 'boot/1/0'],
        [names.keyMessageId, spanId],
      ],
    })
  }
}

/** Requests that make two calls one after the other, with delays about 1 ms and lengths that vary more. */
function simulate({
  count,
  meanGap,
  random,
}: {
  count: number
  meanGap: number
  random: () => number
}): Known[] {
  const around = (median: number) =>
    Math.floor(median * Math.exp(0.35 * (random() + random() + random() - 1.5)))
  const long = () => Math.floor((2 + 30 * random() * random()) * ms)
  const requests: Known[] = []
  let start = 0
  for (let at = 0; at < count; at++) {
    start += Math.floor(-meanGap * Math.log(1 - random())) + 1
    const first = start + around(1 * ms)
    const firstEnd = first + long()
    const second = firstEnd + around(0.7 * ms)
    const secondEnd = second + long()
    const calls = [
      { start: first, end: firstEnd, kind: 0 },
      { start: second, end: secondEnd, kind: 1 },
    ]
    requests.push({ start, end: secondEnd + around(0.5 * ms), calls })
  }
  return requests
}

function judge(requests: readonly Known[]) {
  const statistics = createProcessStatistics<string, string>({
    mostAtOnce: 5000,
    decideAfterMs: 10,
    patienceMs: 10,
  })
  fill(statistics, requests)
  const guesses = statistics.decide(Infinity, true).map(({ call, cause, confidence }) => ({
    call,
    confidence: cause === undefined ? 0 : confidence,
    isRight: cause === call.split('.')[0],
  }))
  const calls = requests.reduce((sum, request) => sum + request.calls.length, 0)
  t.equal(guesses.length, calls, 'every call is decided once')
  const right = guesses.filter(({ isRight }) => isRight).length
  return { right, calls, guesses, wrong: guesses.filter(({ isRight }) => !isRight) }
}

/** Requests are named by their start, their calls by the request and their number. */
function fill(
  statistics: ReturnType<typeof createProcessStatistics<string, string>>,
  requests: readonly Known[],
  isKnown: (at: number) => boolean = () => false,
): void {
  const number = new Map([...requests].sort((a, b) => a.start - b.start).map((request, at) => [request, at]))
  for (const request of requests) {
    const item = String(number.get(request))
    statistics.addRequest({ item, start: request.start, end: request.end, kind: 0, words: [], arrivedMs: 0 })
  }
  for (const request of requests) {
    const item = String(number.get(request))
    for (const { start, end, kind } of request.calls) {
      const cause = isKnown(number.get(request)!) ? item : undefined
      statistics.addCall({ item: `${item}.${kind}`, start, end, kind, words: [], arrivedMs: 0 }, cause)
    }
  }
}

function concurrencyOf(requests: readonly Known[]): number {
  const busy = requests.reduce((sum, { start, end }) => sum + end - start, 0)
  return busy / (requests[requests.length - 1]!.end - requests[0]!.start)
}
