import t from 'tap'
import { filter, map } from 'rxjs'
import { startService, type Service } from '../../../core/graph/service.ts'
import { type ComponentDefinition, defineExtension, defineReceiver } from '../../../core/component.ts'
import { manualClock } from '../../../core/manual-clock.ts'
import { FullspanError } from '../../../core/errors.ts'
import { imbalance } from '../../../core/ledger.ts'
import { batchOf, spansOf, testBatch, testSpan } from '../../helpers/spans.ts'
import { fakeExporter, fakeProcessor, fakeReceiver } from '../../helpers/components.ts'
import { configFrom, testEnvironment } from '../../helpers/environment.ts'

const simple = `
receivers: {in: }
processors: {step: }
exporters: {out: {retry_on_failure: {initial_interval: 1ms}}, other: }
service:
  shutdown_timeout: 1s
  pipelines:
    traces: {receivers: [in], processors: [step], exporters: [out]}
`

async function start(text: string, ...components: ComponentDefinition[]) {
  const environment = testEnvironment()
  const service = await startService(await configFrom(text, components), environment)
  return { service, environment, lines: environment.lines }
}

function balanced(t: Pick<typeof import('tap').default, 'equal'>, service: Service) {
  for (const entry of service.ledger()) t.equal(imbalance(entry), 0, `${entry.branch} is in balance`)
}

t.test(
  'what a receiver takes in goes through the processors to the exporter, and is answered once',
  async t => {
    const source = fakeReceiver()
    const sink = fakeExporter()
    const other = fakeExporter(undefined, 'other')
    const step = fakeProcessor(() => batch => batch)
    const { service } = await start(simple, source.definition, step, sink.definition, other.definition)
    t.strictSame(source.context.signals, ['traces'])
    t.strictSame(
      source.send(origin => testBatch(3, origin)),
      [{ kind: 'accepted' }],
    )
    const report = await service.stop()
    t.equal(report.droppedItems, 0)
    t.equal(sink.spanIds.length, 3)
    t.match(service.ledger(), [{ branch: 'traces → out', received: 3, delivered: 3, held: 0, dropped: 0 }])
    balanced(t, service)
  },
)

t.test('a batch that no pipeline takes is refused', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => batch => batch)
  const { service } = await start(simple, source.definition, step, sink.definition, other.definition)
  const { Batch } = await import('../../../model/batch.ts')
  const answers = source.send(origin => Batch.ofRequest('logs', new Uint8Array(1), 1, origin))
  t.match(answers, [{ kind: 'refused', reason: 'no pipeline takes logs' }])
  await service.stop()
})

t.test('a function that throws drops the batch in hand, and the next one passes', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  let calls = 0
  const step = fakeProcessor(() => batch => {
    if (++calls === 1) throw new Error('no')
    return batch
  })
  const { service, lines } = await start(simple, source.definition, step, sink.definition, other.definition)
  source.send(origin => testBatch(2, origin))
  source.send(origin => testBatch(3, origin))
  await service.stop()
  t.match(service.ledger(), [
    { received: 5, delivered: 3, drops: [{ component: 'step', reason: 'component failed', items: 2 }] },
  ])
  t.ok(lines.some(line => line.level === 'error' && line.fields['component'] === 'step'))
  balanced(t, service)
})

t.test('an operator that throws drops what it has in hand and is applied anew', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  let calls = 0
  const step = fakeProcessor(() => ({
    operator: map(batch => {
      if (++calls === 2) throw new Error('no')
      return batch
    }),
  }))
  const { service } = await start(simple, source.definition, step, sink.definition, other.definition)
  for (const spans of [1, 2, 4]) source.send(origin => testBatch(spans, origin))
  await service.stop()
  t.match(service.ledger(), [{ received: 7, delivered: 5, dropped: 2 }])
  balanced(t, service)
})

t.test('what a processor leaves out without a word counts as dropped by it', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const step = fakeProcessor(context => async batch => {
    const [first, second, ...rest] = spansOf(batch)
    await Promise.resolve()
    context.drop([first!], 'not sampled')
    context.merge([second!])
    return batchOf([...rest.slice(1), testSpan()])
  })
  const { service } = await start(simple, source.definition, step, sink.definition, other.definition)
  source.send(origin => testBatch(5, origin))
  source.send(origin => testBatch(5, origin))
  await service.stop()
  t.match(service.ledger(), [
    {
      received: 10,
      created: 2,
      delivered: 6,
      merged: 2,
      drops: [
        { component: 'step', reason: 'not sampled', items: 2 },
        { component: 'step', reason: 'gone without a reason', items: 2 },
      ],
    },
  ])
  balanced(t, service)
})

t.test('one branch failing does not make another send twice', async t => {
  const source = fakeReceiver()
  let tries = 0
  const sick = fakeExporter(() => {
    if (++tries < 4) throw new FullspanError({ code: 'test.busy', remedy: 'retry', message: 'busy' })
  })
  const healthy = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => batch => batch)
  const both = simple.replace('[out]', '[out, other]')
  const { service } = await start(both, source.definition, step, sick.definition, healthy.definition)
  t.strictSame(
    source.send(origin => testBatch(2, origin)),
    [{ kind: 'accepted' }],
  )
  await service.stop()
  t.equal(tries, 4)
  t.equal(sick.spanIds.length, 2)
  t.equal(healthy.spanIds.length, 2)
  balanced(t, service)
})

t.test('what cannot be delivered before the limit is dropped for the shutdown, and said', async t => {
  const source = fakeReceiver()
  const stuck = fakeExporter(() => new Promise<never>(() => undefined))
  const other = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => batch => batch)
  const text = simple.replace('1s', '50ms')
  const { service } = await start(text, source.definition, step, stuck.definition, other.definition)
  source.send(origin => testBatch(2, origin))
  const report = await service.stop()
  t.equal(report.droppedItems, 2)
  t.match(report.ledger, [{ delivered: 0, drops: [{ component: 'out', reason: 'shutdown', items: 2 }] }])
  balanced(t, service)
})

t.test('a full branch refuses the whole intake before any other branch sees it', async t => {
  const source = fakeReceiver()
  const stuck = fakeExporter(() => new Promise<never>(() => undefined))
  const healthy = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => batch => batch)
  const text = simple
    .replace(
      '{retry_on_failure: {initial_interval: 1ms}}',
      '{sending_queue: {queue_size: 1, num_consumers: 1}}',
    )
    .replace('1s', '10ms')
    .replace(
      'traces: {receivers: [in], processors: [step], exporters: [out]}',
      'traces: {receivers: [in], processors: [step], exporters: [other]}\n    traces/2: {receivers: [in], exporters: [out]}',
    )
  const { service } = await start(text, source.definition, step, stuck.definition, healthy.definition)
  const answers = [1, 2, 3].map(items => source.send(origin => testBatch(items, origin))[0])
  t.match(answers, [
    { kind: 'accepted' },
    { kind: 'accepted' },
    { kind: 'refused', reason: 'the queue of out is full', retryAfterMs: Number },
  ])
  await service.stop()
  t.equal(healthy.spanIds.length, 3)
  t.match(service.stats().receivers[0]?.signals.get('traces'), { accepted: 3, refused: 3 })
  balanced(t, service)
})

t.test('a processor can refuse an intake, and one that is behind makes core refuse', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  let isFull = true
  const release: (() => void)[] = []
  const step = fakeProcessor(context => {
    context.onAdmission(() => (isFull ? { reason: 'no memory', retryAfterMs: 7 } : undefined))
    return batch => new Promise(resolve => release.push(() => resolve(batch)))
  })
  const text = simple.replace('shutdown_timeout: 1s', 'shutdown_timeout: 1s\n  processor_queue_size: 1')
  const { service } = await start(text, source.definition, step, sink.definition, other.definition)
  const send = () => source.send(origin => testBatch(1, origin))[0]
  t.strictSame(send(), { kind: 'refused', reason: 'no memory', retryAfterMs: 7 })
  isFull = false
  t.match(
    [send(), send(), send()],
    [{ kind: 'accepted' }, { kind: 'accepted' }, { kind: 'refused', reason: 'step in traces is behind' }],
  )
  balanced(t, service)
  t.equal(service.ledger()[0]?.held, 2)
  const stopping = service.stop()
  for (let turn = 0; turn < 5; turn++) {
    for (const each of release.splice(0)) each()
    await new Promise<void>(resolve => setImmediate(resolve))
  }
  await stopping
  t.equal(sink.spanIds.length, 2)
})

t.test('a receiver whose stream fails is made anew', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => batch => batch)
  const clock = manualClock()
  const environment = testEnvironment(clock)
  const config = await configFrom(simple, [source.definition, step, sink.definition, other.definition])
  const service = await startService(config, environment)
  source.send(origin => testBatch(1, origin))
  source.fail(new Error('lost the socket'))
  clock.advance(999)
  t.equal(source.starts, 1)
  clock.advance(1)
  await new Promise<void>(resolve => setImmediate(resolve))
  t.equal(source.starts, 2)
  source.send(origin => testBatch(2, origin))
  await service.stop()
  t.equal(sink.spanIds.length, 3)
  t.match(environment.lines, [{ level: 'error', fields: { component: 'in' }, message: /started anew/ }])
})

t.test('a receiver that cannot start stops the start, unless it may be left out', async t => {
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const source = fakeReceiver()
  const step = fakeProcessor(() => batch => batch)
  const broken = defineReceiver({
    type: 'broken',
    description: 'x',
    stability: 'development',
    signals: ['traces'],
    schema: { type: 'object', additionalProperties: false, properties: {} },
    create: () => Promise.reject(new Error('no such kernel')),
  })
  const text = simple
    .replace('{in: }', '{in: , broken: {when_unavailable: fail}}')
    .replace('[in]', '[in, broken]')
  // A clock that stands: what has started ends without waiting for a time limit.
  const config = await configFrom(text, [source.definition, broken, step, sink.definition, other.definition])
  await t.rejects(startService(config, testEnvironment(manualClock())), {
    code: 'COMPONENT_CANNOT_START',
    message: /^broken cannot start: no such kernel \(.*graph\.test\.[jt]s:\d+:\d+\)\.$/,
  })
  const warned = text.replace('fail}', 'warn}')
  const { service, lines } = await start(
    warned,
    source.definition,
    broken,
    step,
    sink.definition,
    other.definition,
  )
  t.match(lines, [
    {
      level: 'warn',
      fields: { component: 'broken' },
      message: /^is left out: broken cannot start: no such kernel/,
    },
  ])
  source.send(origin => testBatch(1, origin))
  await service.stop()
  t.equal(sink.spanIds.length, 1)
})

t.test('an intake that stays too long is reported with the component that has it', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const step = fakeProcessor(() => ({ operator: input$ => input$.pipe(filter(() => false)) }))
  const clock = manualClock()
  const environment = testEnvironment(clock)
  const text = simple.replace('shutdown_timeout: 1s', 'settle_timeout: 1m')
  const config = await configFrom(text, [source.definition, step, sink.definition, other.definition])
  const service = await startService(config, environment)
  source.send(origin => testBatch(4, origin))
  clock.advance(60_000)
  t.strictSame(environment.lines, [])
  clock.advance(60_000)
  t.match(environment.lines, [
    {
      level: 'warn',
      fields: { component: 'step', receiver: 'in', intakes: 1, items: 4 },
      message: /settle_timeout/,
    },
  ])
  clock.advance(600_000)
  t.equal(environment.lines.length, 1, 'it is said once')
  await service.stop()
  t.match(service.ledger(), [{ drops: [{ component: 'step', reason: 'gone without a reason', items: 4 }] }])
})

t.test('an exporter that has an overdue intake is named, whichever comes after it', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter(() => new Promise<never>(() => undefined))
  const other = fakeExporter(undefined, 'other')
  const clock = manualClock()
  const environment = testEnvironment(clock)
  const text = simple.replace('shutdown_timeout: 1s', 'settle_timeout: 1m').replace('[out]', '[out, other]')
  const step = fakeProcessor(() => batch => batch)
  const config = await configFrom(text, [source.definition, step, sink.definition, other.definition])
  const service = await startService(config, environment)
  source.send(origin => testBatch(4, origin))
  await new Promise<void>(resolve => setImmediate(resolve))
  clock.advance(120_000)
  const overdue = environment.lines.filter(line => line.message.includes('settle_timeout'))
  t.match(overdue, [{ fields: { component: 'out', intakes: 1, items: 4 } }])
  t.equal(overdue.length, 1)
  const stopping = service.stop()
  for (let second = 0; second < 20; second++) {
    clock.advance(1000)
    await new Promise<void>(resolve => setImmediate(resolve))
  }
  t.match(await stopping, { droppedItems: 4 })
})

t.test('a processor that gives no answer is given up, passed over, and tried again', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const clock = manualClock()
  const environment = testEnvironment(clock)
  const answers: (() => void)[] = []
  const step = fakeProcessor(() => batch => new Promise(resolve => answers.push(() => resolve(batch))))
  const config = await configFrom(simple, [source.definition, step, sink.definition, other.definition])
  const service = await startService(config, environment)
  const send = () => source.send(origin => testBatch(1, origin))
  const turn = () => new Promise<void>(resolve => setImmediate(resolve))
  send()
  send()
  clock.advance(30_000)
  t.equal(answers.length, 2, 'the second call comes when the first is given up')
  clock.advance(30_000)
  t.match(service.ledger(), [{ drops: [{ component: 'step', reason: 'component hung', items: 2 }], held: 0 }])
  send()
  t.equal(answers.length, 2, 'after two in a row it is passed over')
  clock.advance(30_000)
  send()
  t.equal(answers.length, 3, 'for as long as a call may take')
  answers[2]?.()
  await turn()
  t.equal(sink.spanIds.length, 1)
  send()
  clock.advance(30_000)
  send()
  t.equal(answers.length, 5, 'one that was answered counts: it is not passed over at once')
  answers[4]?.()
  answers[3]?.()
  await turn()
  t.equal(sink.spanIds.length, 2, 'what comes too late is not used')
  balanced(t, service)
  t.match(environment.lines, [
    { level: 'error', fields: { component: 'step', dropped: 1 }, message: /has not given an answer/ },
    {},
    {},
  ])
  await service.stop()
})

t.test('a component that takes long to start is named', async t => {
  const source = fakeReceiver()
  const sink = fakeExporter()
  const clock = manualClock()
  const environment = testEnvironment(clock)
  let go: () => void = () => undefined
  const slow = defineExtension({
    type: 'slow',
    description: 'x',
    stability: 'development',
    schema: { type: 'object', additionalProperties: false, properties: {} },
    create: () =>
      new Promise(resolve => (go = () => resolve({ api: undefined, stop: () => Promise.resolve() }))),
  })
  const text = `
receivers: {in: }
exporters: {out: }
extensions: {slow: }
service: {extensions: [slow], pipelines: {traces: {receivers: [in], exporters: [out]}}}`
  const config = await configFrom(text, [source.definition, sink.definition, slow])
  const starting = startService(config, environment)
  clock.advance(25_000)
  t.match(environment.lines, [
    { fields: { component: 'slow', seconds: 10 }, message: /has not started yet/ },
    { fields: { component: 'slow', seconds: 20 } },
  ])
  go()
  await (await starting).stop()
})

t.test('extensions start first, stop last, and are found by id', async t => {
  const order: string[] = []
  const extension = defineExtension({
    type: 'storage',
    description: 'x',
    stability: 'development',
    schema: { type: 'object', additionalProperties: false, properties: {} },
    create() {
      order.push('extension')
      return Promise.resolve({ api: { answer: 42 }, stop: () => Promise.resolve(void order.push('stopped')) })
    },
  })
  const source = fakeReceiver()
  const sink = fakeExporter()
  const other = fakeExporter(undefined, 'other')
  const found: unknown[] = []
  const step = fakeProcessor(context => {
    order.push('processor')
    found.push(context.getExtension('storage/1'))
    t.throws(() => context.getExtension('storage/2'), { code: 'SERVICE_NO_EXTENSION', message: /storage\/2/ })
    return batch => batch
  })
  const text = `${simple.replace('shutdown_timeout: 1s', 'extensions: [storage/1]')}\nextensions: {storage/1: }`
  const { service } = await start(text, extension, source.definition, step, sink.definition, other.definition)
  await service.stop()
  t.strictSame(order, ['extension', 'processor', 'stopped'])
  t.strictSame(found, [{ answer: 42 }])
})
