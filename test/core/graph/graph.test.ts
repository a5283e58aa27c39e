import t from 'tap'
import { map } from 'rxjs'
import { startService, type Service } from '../../../core/graph/service.ts'
import type { ComponentDefinition } from '../../../core/component.ts'
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
