import t from 'tap'
import fc from 'fast-check'
import { manualClock } from '../../../core/manual-clock.ts'
import type { Answer } from '../../../core/component.ts'
import { startService, type Service } from '../../../core/graph/service.ts'
import type { StopReport } from '../../../core/graph/stop.ts'
import { imbalance } from '../../../core/ledger.ts'
import { Batch, type Origin } from '../../../model/batch.ts'
import { batchOf, testSpan } from '../../helpers/spans.ts'
import { fakeExporter, fakeProcessor, fakeReceiver } from '../../helpers/components.ts'
import { configFrom, testEnvironment } from '../../helpers/environment.ts'
import {
  exporterBehaviours,
  graphPlans,
  type GraphPlan,
  processorBehaviours,
} from '../../helpers/random-graph.ts'

const runs = Number(process.env['FULLSPAN_RUNS'] ?? 300)
const settled = () => new Promise<void>(resolve => setImmediate(resolve))

interface Sent {
  readonly receiver: number
  readonly ids: readonly string[]
  readonly answers: readonly Answer[]
}

function configOf(plan: GraphPlan): string {
  return JSON.stringify({
    receivers: Object.fromEntries(Array.from({ length: plan.receivers }, (_, index) => [`in${index}`, null])),
    processors: Object.fromEntries(plan.pipelines.flatMap(each => each.processors.map(name => [name, null]))),
    exporters: Object.fromEntries(
      plan.exporters.map(({ queueSize, consumers }, index) => [
        `out${index}`,
        {
          timeout: '500ms',
          sending_queue: { queue_size: queueSize, num_consumers: consumers },
          retry_on_failure: { initial_interval: '10ms', max_elapsed_time: '2s' },
        },
      ]),
    ),
    service: {
      processor_queue_size: 3,
      shutdown_timeout: '5s',
      pipelines: Object.fromEntries(
        plan.pipelines.map(({ receivers, processors, exporters }, index) => [
          `traces/${index}`,
          {
            receivers: receivers.map(each => `in${each}`),
            processors: [...new Set(processors)],
            exporters: exporters.map(each => `out${each}`),
          },
        ]),
      ),
    },
  })
}

async function runPlan(plan: GraphPlan, look: (service: Service, sent: readonly Sent[]) => void) {
  const receivers = Array.from({ length: plan.receivers }, (_, index) => fakeReceiver(`in${index}`))
  const exporters = plan.exporters.map(({ behaviour }, index) =>
    fakeExporter(exporterBehaviours[behaviour](), `out${index}`),
  )
  const processors = Object.entries(processorBehaviours).map(([type, create]) => fakeProcessor(create, type))
  const clock = manualClock()
  const environment = testEnvironment(clock)
  const config = await configFrom(configOf(plan), [
    ...receivers.map(each => each.definition),
    ...exporters.map(each => each.definition),
    ...processors,
  ])
  const service = await startService(config, environment)
  const sent: Sent[] = []
  for (const { receiver, items, waitMs, isRequest } of plan.sends) {
    const ids: string[] = []
    const build = (origin: Origin) => {
      const spans = Array.from({ length: items }, () => testSpan(origin))
      ids.push(...spans.map(span => span.spanId))
      const batch = batchOf(spans)
      return isRequest ? Batch.ofRequest('traces', batch.encode(), items, origin) : batch
    }
    const source = receivers[receiver]!
    if (source.isWanted) sent.push({ receiver, ids, answers: source.send(build) })
    clock.advance(waitMs)
    await settled()
    look(service, sent)
  }
  let report: StopReport | undefined
  void service.stop().then(given => (report = given))
  for (let steps = 0; !report && steps < 1000; steps++) {
    clock.advance(50)
    await settled()
    look(service, sent)
  }
  if (!report) throw new Error('the service did not stop')
  return { service, report, sent, exporters }
}

function assertBalanced(service: Service) {
  for (const entry of service.ledger()) {
    if (imbalance(entry) !== 0) throw new Error(`out of balance: ${JSON.stringify(entry)}`)
    if (entry.held < 0) throw new Error(`holds less than nothing: ${JSON.stringify(entry)}`)
  }
}

t.test(
  'whatever components do, the account of every branch is in balance at any time, and every intake is answered once',
  async t => {
    let intakes = 0
    await fc.assert(
      fc.asyncProperty(graphPlans({ faithfulOnly: false }), async plan => {
        const { service, sent, exporters } = await runPlan(plan, assertBalanced)
        const ledger = service.ledger()
        for (const entry of ledger) {
          if (entry.held !== 0) throw new Error(`still holds something: ${JSON.stringify(entry)}`)
        }
        for (const { answers } of sent) {
          if (answers.length !== 1) throw new Error(`answered ${answers.length} times`)
        }
        const accepted = sent.filter(({ answers, ids }) => answers[0]?.kind === 'accepted' && ids.length > 0)
        intakes += accepted.length
        const { openIntakes, settledIntakes } = service.stats()
        if (openIntakes !== 0) throw new Error(`${openIntakes} intakes are not settled`)
        if (settledIntakes !== accepted.length)
          throw new Error(`${settledIntakes} settled of ${accepted.length}`)

        for (const [index, { receivers }] of plan.pipelines.entries()) {
          const items = accepted
            .filter(({ receiver }) => receivers.includes(receiver))
            .reduce((sum, { ids }) => sum + ids.length, 0)
          for (const entry of ledger.filter(each => each.pipeline === `traces/${index}`)) {
            if (entry.received !== items) throw new Error(`received ${entry.received} of ${items}`)
          }
        }
        for (const [index, exporter] of exporters.entries()) {
          const entries = ledger.filter(each => each.exporter === `out${index}`)
          const delivered = entries.reduce((sum, each) => sum + each.delivered, 0)
          const rejected = entries
            .flatMap(each => each.drops)
            .reduce((sum, drop) => (drop.reason === 'not that one' ? sum + drop.items : sum), 0)
          if (exporter.spanIds.length !== delivered + rejected) {
            throw new Error(
              `out${index} has ${exporter.spanIds.length}, its branches say ${delivered} and ${rejected}`,
            )
          }
        }
      }),
      { numRuns: runs },
    )
    t.ok(intakes > runs, `${intakes} intakes were accepted`)
  },
)

t.test(
  'where nothing is lost on purpose, every branch delivers every span exactly once, and an intake is open exactly until then',
  async t => {
    let spans = 0
    await fc.assert(
      fc.asyncProperty(graphPlans({ faithfulOnly: true }), async plan => {
        const { report, sent, exporters } = await runPlan(plan, (service, soFar) => {
          assertBalanced(service)
          const held = service.ledger().some(entry => entry.held > 0)
          const open = service.stats().openIntakes
          if (held !== open > 0) throw new Error(`${open} intakes are open, but held is ${held}`)
          if (open > soFar.length) throw new Error('more are open than were sent')
        })
        if (report.droppedItems !== 0) throw new Error('dropped at the stop')
        for (const [index, exporter] of exporters.entries()) {
          const expected: string[] = []
          for (const { receivers, exporters: targets } of plan.pipelines) {
            if (!targets.includes(index)) continue
            for (const { receiver, ids, answers } of sent) {
              if (receivers.includes(receiver) && answers[0]?.kind === 'accepted') expected.push(...ids)
            }
          }
          spans += expected.length
          const got = exporter.spanIds.toSorted().join(' ')
          if (got !== expected.toSorted().join(' '))
            throw new Error(`out${index}: ${got} instead of ${expected.join(' ')}`)
        }
      }),
      { numRuns: runs },
    )
    t.ok(spans > runs, `${spans} spans were delivered`)
  },
)
