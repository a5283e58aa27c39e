import t from 'tap'
import type { Export } from '../../../core/component.ts'
import { configOf } from '../../../core/config/check.ts'
import { createBackoff } from '../../../core/delivery/backoff.ts'
import { Delivery } from '../../../core/delivery/delivery.ts'
import { deliverySchema, deliverySettings } from '../../../core/delivery/schema.ts'
import { FullspanError } from '../../../core/errors.ts'
import { BranchBook, PipelineBook } from '../../../core/ledger.ts'
import { manualClock } from '../../../core/manual-clock.ts'
import { createSettlement } from '../../../core/settlement.ts'
import { Batch } from '../../../model/batch.ts'
import { recordingLogger } from '../../helpers/environment.ts'
import { testBatch, testRequest } from '../../helpers/spans.ts'

const schema = { type: 'object', additionalProperties: false, properties: { ...deliverySchema } } as const
const settled = () => new Promise<void>(resolve => setImmediate(resolve))
const busy = (afterMs?: number) =>
  new FullspanError({ code: 'TEST_BUSY', remedy: 'retry', message: 'busy', afterMs })

function bench(send: Export, plain: object = {}) {
  const clock = manualClock()
  const logger = recordingLogger()
  const pipeline = new PipelineBook('traces', 'traces')
  const branch = new BranchBook(pipeline, 'out', 0)
  const tries: number[] = []
  const startMs = clock.nowMs()
  const delivery = new Delivery({
    id: 'out',
    export(batch, cancelled) {
      tries.push(clock.nowMs() - startMs)
      return send(batch, cancelled)
    },
    settings: deliverySettings(configOf(schema, plain)),
    settlement: createSettlement({ nowMs: () => clock.nowMs() }),
    clock,
    logger,
    random: () => 0.5,
  })
  const pass = async (ms: number) => {
    await settled()
    clock.advance(ms)
    await settled()
  }
  return { delivery, branch, clock, logger, tries, pass }
}

t.test('waits grow by the multiplier up to the longest, with jitter around them', t => {
  const settings = deliverySettings(configOf(schema)).retry
  const steady = createBackoff(settings, () => 0.5)
  const waits = Array.from({ length: 6 }, () => steady.next(0, undefined))
  t.strictSame(waits, [5000, 7500, 11_250, 16_875, 25_312.5, 30_000])
  t.equal(createBackoff(settings, () => 0).next(0, undefined), 2500)
  t.equal(createBackoff(settings, () => 1).next(0, undefined), 7500)
  t.end()
})

t.test('a wait that the other side asks for is kept, also beyond the longest of ours', t => {
  const backoff = createBackoff(deliverySettings(configOf(schema)).retry, () => 0.5)
  t.equal(backoff.next(0, 60_000), 60_000)
  t.equal(backoff.next(0, 1), 7500, 'never shorter than ours')
  t.end()
})

t.test('after max_elapsed_time, or with retries off, a batch is given up', t => {
  const { retry } = deliverySettings(configOf(schema))
  t.equal(createBackoff(retry, () => 0.5).next(296_000, undefined), undefined)
  t.equal(createBackoff({ ...retry, max_elapsed_time: 0 }, () => 0.5).next(1e9, undefined), 5000)
  t.equal(createBackoff({ ...retry, enabled: false }, () => 0.5).next(0, undefined), undefined)
  t.end()
})

t.test('a batch is tried again until it is delivered', async t => {
  let failures = 2
  const { delivery, branch, tries, pass } = bench(() =>
    failures-- > 0 ? Promise.reject(busy()) : Promise.resolve(),
  )
  delivery.put(testBatch(3), branch)
  await pass(5000)
  await pass(7500)
  t.strictSame(tries, [0, 5000, 12_500])
  t.match(branch, { delivered: 3, held: 0 })
  t.match(delivery.stats, { retries: 2, inFlight: 0, queueSize: 0 })
})

t.test(
  'what is not to be tried again is dropped with the code as its reason, and said once in a while',
  async t => {
    const refused = new FullspanError({ code: 'TEST_REFUSED', remedy: 'drop', message: 'no' })
    const { delivery, branch, logger, pass } = bench(() => Promise.reject(refused))
    for (let count = 0; count < 3; count++) delivery.put(testBatch(2), branch)
    await pass(0)
    t.strictSame(branch.drops.list, [{ component: 'out', reason: 'TEST_REFUSED', items: 6 }])
    t.equal(logger.lines.length, 1)
  },
)

t.test('a merged batch that is refused for its content is sent once more, intake by intake', async t => {
  const refused = new FullspanError({
    code: 'TEST_BAD',
    remedy: 'drop',
    message: 'bad data',
    retryApart: true,
  })
  const sent: number[] = []
  const { delivery, branch, pass } = bench(batch => {
    sent.push(batch.items)
    return batch.items === 2 ? Promise.resolve() : Promise.reject(refused)
  })
  const [good, bad] = [
    { id: 1, peer: undefined },
    { id: 2, peer: undefined },
  ]
  delivery.put(Batch.merge([testRequest(2, good), testRequest(3, bad)]), branch)
  delivery.put(Batch.merge([testBatch(2, good), testBatch(4, bad)]), branch)
  await pass(0)
  await pass(0)
  t.strictSame(sent, [5, 6, 2, 3, 2, 4])
  t.match(branch, { delivered: 4, held: 0 })
  t.strictSame(branch.drops.list, [{ component: 'out', reason: 'TEST_BAD', items: 7 }])
  t.equal(delivery.stats.queueSize, 0)
})

t.test('a fault in an exporter drops its batch and nothing else', async t => {
  let calls = 0
  const { delivery, branch, pass } = bench(() => {
    if (++calls === 1) throw new TypeError('a fault')
    return Promise.resolve()
  })
  delivery.put(testBatch(2), branch)
  delivery.put(testBatch(3), branch)
  await pass(0)
  t.strictSame(branch.drops.list, [{ component: 'out', reason: 'component failed', items: 2 }])
  t.equal(branch.delivered, 3)
})

t.test('a try that takes longer than the timeout is cancelled and repeated', async t => {
  const signals: AbortSignal[] = []
  const { delivery, branch, pass } = bench(
    (_batch, cancelled) => {
      signals.push(cancelled)
      return signals.length === 1 ? new Promise<never>(() => undefined) : Promise.resolve()
    },
    { timeout: '2s', retry_on_failure: { initial_interval: '1s' } },
  )
  delivery.put(testBatch(1), branch)
  await pass(2000)
  t.equal(signals[0]?.aborted, true)
  await pass(1000)
  t.equal(branch.delivered, 1)
})

t.test('no more batches are on their way than consumers, in the order in which they came', async t => {
  const waiting: (() => void)[] = []
  const names: number[] = []
  const { delivery, branch, pass } = bench(
    batch => {
      names.push(batch.items)
      return new Promise(resolve => waiting.push(resolve))
    },
    { sending_queue: { num_consumers: 2 } },
  )
  for (const items of [1, 2, 3]) delivery.put(testBatch(items), branch)
  t.strictSame(names, [1, 2])
  t.match(delivery.stats, { inFlight: 2, queueSize: 1 })
  waiting[0]?.()
  await pass(0)
  t.strictSame(names, [1, 2, 3])
})

t.test('room is counted by requests, items or bytes; what was accepted enters in any case', t => {
  const never = () => new Promise<never>(() => undefined)
  for (const [sizer, size, fits] of [
    ['requests', 2, [true, true, true, false]],
    ['items', 8, [true, true, true, false]],
    ['bytes', 10, [true, false, false, false]],
  ] as const) {
    const { delivery, branch } = bench(never, {
      sending_queue: { num_consumers: 1, queue_size: size, sizer },
    })
    const answers = fits.map(() => {
      const batch = testBatch(4)
      const hasRoom = delivery.hasRoom(batch)
      delivery.put(batch, branch)
      return hasRoom
    })
    t.strictSame(answers, fits, sizer)
    t.equal(branch.held, 16)
  }
  t.end()
})

t.test('without a queue there is room while a consumer is free', t => {
  const { delivery, branch } = bench(() => new Promise<never>(() => undefined), {
    sending_queue: { enabled: false, num_consumers: 2 },
  })
  const answers = [1, 2, 3].map(() => {
    const hasRoom = delivery.hasRoom(testBatch(1))
    if (hasRoom) delivery.put(testBatch(1), branch)
    return hasRoom
  })
  t.strictSame(answers, [true, true, false])
  t.end()
})

t.test('partial success: what was rejected counts as dropped, the rest as delivered', async t => {
  const { delivery, branch, pass } = bench(batch => {
    delivery.reject(batch, 2, 'too old')
    return Promise.resolve()
  })
  delivery.put(testBatch(5), branch)
  await pass(0)
  t.equal(branch.delivered, 3)
  t.strictSame(branch.drops.list, [{ component: 'out', reason: 'too old', items: 2 }])
})

t.test(
  'a wait that the other side asked for is kept while draining, also one that had begun before',
  async t => {
    const { delivery, branch, tries, pass } = bench(() => Promise.reject(busy(4000)), {
      retry_on_failure: { initial_interval: '10s', randomization_factor: 0 },
    })
    delivery.put(testBatch(1), branch)
    await pass(1000)
    void delivery.drain()
    await pass(2999)
    t.strictSame(tries, [0])
    await pass(1)
    t.strictSame(tries, [0, 4000])
    await pass(4000)
    t.strictSame(tries, [0, 4000, 8000])
    delivery.abandon('over')
  },
)

t.test('draining cuts waits short and tries on every second', async t => {
  let failures = 3
  const { delivery, tries, pass, branch } = bench(() =>
    failures-- > 0 ? Promise.reject(busy()) : Promise.resolve(),
  )
  delivery.put(testBatch(1), branch)
  await pass(100)
  let isDrained = false
  void delivery.drain().then(() => (isDrained = true))
  await pass(1000)
  await pass(1000)
  t.strictSame(tries, [0, 100, 1100, 2100])
  t.ok(isDrained)
})

t.test(
  'abandoning cancels what is on its way and drops all of it with a reason, also what still comes',
  async t => {
    let cancelled: AbortSignal | undefined
    const { delivery, branch, pass } = bench(
      (_batch, signal) => {
        cancelled = signal
        return new Promise<never>(() => undefined)
      },
      { sending_queue: { num_consumers: 1 } },
    )
    for (const items of [1, 2, 3]) delivery.put(testBatch(items), branch)
    delivery.abandon('shutdown')
    delivery.put(testBatch(4), branch)
    await pass(0)
    t.equal(cancelled?.aborted, true)
    t.strictSame(branch.drops.list, [{ component: 'out', reason: 'shutdown', items: 10 }])
    t.match(branch, { held: 0, delivered: 0 })
  },
)

t.test('an exporter without these settings gets one consumer, so its batches stay in order', t => {
  t.match(deliverySettings({}), {
    timeoutMs: 0,
    queue: { num_consumers: 1, queue_size: 64 * 1024 * 1024 },
    retry: { initial_interval: 5000 },
  })
  t.end()
})
