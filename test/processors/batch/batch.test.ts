import t from 'tap'
import { Subject } from 'rxjs'
import { components } from '../../../components.ts'
import { loadConfig } from '../../../core/config/load.ts'
import { formatProblem } from '../../../core/config/problem.ts'
import type { Batch } from '../../../model/batch.ts'
import { collect, type CollectOptions, type Trigger } from '../../../processors/batch/collect.ts'
import { manualClock } from '../../../core/manual-clock.ts'
import { spansOf, testBatch, testRequest } from '../../helpers/spans.ts'

function bench(options: Partial<CollectOptions> = {}) {
  const clock = manualClock()
  const input = new Subject<Batch>()
  const sent: number[] = []
  const batches: Batch[] = []
  const triggers: Trigger[] = []
  let isComplete = false
  const settings = { timeoutMs: 200, size: 8192, maximum: 0, clock, ...options }
  const subscription = collect({ ...settings, onSend: (_batch, trigger) => triggers.push(trigger) })(
    input,
  ).subscribe({
    next: batch => {
      batches.push(batch)
      sent.push(batch.items)
    },
    error: () => undefined,
    complete: () => (isComplete = true),
  })
  return { clock, input, sent, batches, triggers, subscription, isComplete: () => isComplete }
}

t.test('sends what waits when the timeout passes, counted from the first item', t => {
  const { clock, input, sent, triggers } = bench()
  input.next(testBatch(2))
  clock.advance(150)
  input.next(testBatch(3))
  clock.advance(49)
  t.strictSame(sent, [])
  clock.advance(1)
  t.strictSame(sent, [5])
  t.strictSame(triggers, ['timeout'])
  clock.advance(1000)
  t.strictSame(sent, [5], 'nothing more without items')
  t.end()
})

t.test('sends at once what reaches the size, whatever it exceeds', t => {
  const { clock, input, sent, triggers } = bench({ size: 4 })
  input.next(testBatch(3))
  input.next(testBatch(9))
  t.strictSame(sent, [12])
  t.strictSame(triggers, ['size'])
  clock.advance(1000)
  t.strictSame(sent, [12], 'the timer was stopped')
  t.end()
})

t.test('timeout 0 sends everything at once', t => {
  const { input, sent } = bench({ timeoutMs: 0 })
  input.next(testBatch(3))
  input.next(testBatch(1))
  t.strictSame(sent, [3, 1])
  t.end()
})

t.test('a batch below the maximum is never split: the others leave before it', t => {
  const { clock, input, sent, batches } = bench({ size: 5, maximum: 5 })
  const trace = testBatch(4)
  input.next(testBatch(3))
  input.next(trace)
  clock.advance(200)
  t.strictSame(sent, [3, 4])
  t.strictSame(
    spansOf(batches[1]!).map(span => span.spanId),
    spansOf(trace).map(span => span.spanId),
  )
  t.end()
})

t.test('a batch above the maximum is split, and loses nothing', t => {
  const { input, sent, batches } = bench({ size: 5, maximum: 5 })
  const large = testBatch(12)
  input.next(large)
  t.strictSame(sent, [5, 5, 2])
  t.strictSame(
    batches.flatMap(spansOf).map(span => span.spanId),
    spansOf(large).map(span => span.spanId),
  )
  t.end()
})

t.test('untouched requests are joined without being decoded', t => {
  const { clock, input, batches } = bench()
  const requests = [testRequest(2), testRequest(3)]
  for (const request of requests) input.next(request)
  clock.advance(200)
  t.strictSame(Buffer.from(batches[0]!.encode()), Buffer.concat(requests.map(request => request.encode())))
  t.end()
})

t.test('unsubscribing early stops the timer', t => {
  const { clock, input, sent, subscription } = bench()
  input.next(testBatch(1))
  subscription.unsubscribe()
  clock.advance(1000)
  t.strictSame(sent, [])
  t.end()
})

t.test('a maximum below the size is a problem with its place', async t => {
  const text =
    'processors:\n  batch:\n    send_batch_size: 10\n    send_batch_max_size: 5\nservice: {pipelines: {}}'
  const { problems } = await loadConfig({ files: [`yaml:${text}`], components, env: {} })
  t.ok(
    problems
      .map(formatProblem)
      .includes(
        'yaml::4:26: processors.batch.send_batch_max_size must be 0 or at least send_batch_size (10), but is 5.',
      ),
  )
})
