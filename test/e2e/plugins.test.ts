import t from 'tap'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LedgerEntry } from '../../core/ledger.ts'
import {
  otlpHttpAddress,
  postSpans,
  type RunningFullspan,
  runFullspan,
  startFullspan,
} from '../helpers/running-fullspan.ts'
import { spanFields } from '../helpers/otlp-requests.ts'

const requests = 60

/** Processors that do what none should; each is a plugin and a pipeline of its own, all behind the same receiver. */
const bad: Readonly<Record<string, string>> = {
  throws: '() => () => { throw new Error("thrown") }',
  rejects: '() => async () => { throw new Error("rejected") }',
  hangs: '() => () => new Promise(() => {})',
  swallows: '() => () => undefined',
  swallows_half: '() => batch => batch.split(1)[0]',
  gives_garbage: '() => () => ({ items: 5 })',
  gives_null: '() => async () => null',
  operator_throws:
    '() => ({ operator: input$ => input$.pipe(map(() => { throw new Error("in an operator") })) })',
  operator_gives_garbage: '() => ({ operator: input$ => input$.pipe(map(() => 5)) })',
  operator_swallows: '() => ({ operator: input$ => input$.pipe(filter(() => false)) })',
  operator_is_none: '() => ({ operator: () => 5 })',
  admission_throws:
    '(_, { onAdmission }) => { onAdmission(() => { throw new Error("no idea") }); return batch => batch }',
  throws_in_a_timer: '() => batch => { setTimeout(() => { throw new Error("later") }, 1); return batch }',
  forgets_a_promise: '() => batch => { void Promise.reject(new Error("forgotten")); return batch }',
}

const plugin = (definitions: string) => `
import { defineExporter, defineProcessor } from 'fullspan'
import { filter, map } from 'rxjs'
const common = { description: 'For tests.', stability: 'development', signals: ['traces'],
  schema: { type: 'object', additionalProperties: false, properties: {} } }
export default [${definitions}]
`
const processor = ([type, create]: readonly [string, string]) =>
  `defineProcessor({ ...common, type: '${type}', create: ${create} })`

t.test('processors that fail are named in log and ledger, and harm nobody else', async t => {
  const names = Object.keys(bad)
  const folder = t.testdir({
    'bad.js': plugin(Object.entries(bad).map(processor).join(',\n')),
    'config.yaml': `
plugins: [./bad.js]
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
processors: {${names.map(name => `${name}: `).join(', ')}}
exporters: {file: {path: "\${env:OUT}/good.jsonl"}, file/bad: {path: "\${env:OUT}/bad.jsonl"}}
service:
  run_as: root
  processor_timeout: 200ms
  settle_timeout: 400ms
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
${names.map(name => `    traces/${name}: {receivers: [otlp], processors: [${name}], exporters: [file/bad]}`).join('\n')}
`,
  })
  const running = await runFullspan(t, join(folder, 'config.yaml'), { env: { OUT: folder } })
  await sendAll(t, running)
  const holder = (name: string) =>
    running.until(line => line['component'] === name && line.msg.includes('settle_timeout'))
  await holder('operator_swallows')
  const { code, ledger } = await running.stop()
  t.equal(code, 0, 'nothing was left to drop at the stop')

  const good = readFileSync(join(folder, 'good.jsonl'), 'utf8').trimEnd().split('\n')
  t.equal(good.length, requests)
  t.equal(new Set(good).size, requests, 'the healthy pipeline has every request once')
  t.match(ledger['traces → file'], { received: 2 * requests, delivered: 2 * requests, dropped: 0 })

  const of = (name: string): LedgerEntry | undefined => ledger[`traces/${name} → file/bad`]
  const lost = (name: string, reason: string, items = 2 * requests) => {
    t.match(of(name)?.drops, [{ component: name, reason, items }], `ledger: ${name}`)
    t.equal(of(name)?.delivered, 2 * requests - items)
    t.ok(
      running.lines.some(line => line['component'] === name && ['warn', 'error'].includes(line.level)),
      `log: ${name}`,
    )
  }
  for (const name of ['throws', 'rejects', 'gives_garbage', 'gives_null']) lost(name, 'component failed')
  for (const name of ['operator_throws', 'operator_gives_garbage', 'operator_is_none'])
    lost(name, 'component failed')
  for (const name of ['swallows', 'operator_swallows']) lost(name, 'gone without a reason')
  lost('swallows_half', 'gone without a reason', requests)
  lost('hangs', 'component hung')
  for (const name of ['admission_throws', 'throws_in_a_timer', 'forgets_a_promise']) {
    t.match(of(name), { delivered: 2 * requests, dropped: 0 }, name)
  }
  t.ok(running.lines.some(line => line['component'] === 'admission_throws'))
  t.match(
    running.lines.filter(line => line.msg.includes('a component')).map(({ err }) => err),
    [{ stack: 'bad.js' }, { stack: 'bad.js' }],
  )
})

t.test('an exporter that hangs holds up its own queue, is named, and is given up at the stop', async t => {
  const folder = t.testdir({
    'bad.js': plugin(
      ['hangs', 'throws', 'gives_nothing']
        .map(
          (type, index) =>
            `defineExporter({ ...common, type: '${type}', create: () => ${['() => new Promise(() => {})', '() => { throw new Error("thrown") }', '() => {}'][index]} })`,
        )
        .join(','),
    ),
    'config.yaml': `
plugins: [./bad.js]
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
exporters: {file: {path: "-"}, hangs: , throws: , gives_nothing: }
service:
  shutdown_timeout: 500ms
  settle_timeout: 300ms
  pipelines: {traces: {receivers: [otlp], exporters: [file, hangs, throws, gives_nothing]}}
`,
  })
  const running = await runFullspan(t, join(folder, 'config.yaml'))
  await sendAll(t, running)
  await running.until(line => line['component'] === 'hangs' && line.msg.includes('settle_timeout'))
  const { code, ledger } = await running.stop()
  t.equal(code, 3)
  const all = 2 * requests
  t.match(ledger['traces → file'], { delivered: all })
  t.equal(running.stdout().trimEnd().split('\n').length, requests)
  t.match(ledger['traces → hangs']?.drops, [{ component: 'hangs', reason: 'shutdown', items: all }])
  t.match(ledger['traces → throws']?.drops, [{ component: 'throws', reason: 'component failed', items: all }])
  t.match(
    ledger['traces → gives_nothing'],
    { delivered: all },
    'what delivers without a promise has delivered',
  )
})

t.test('a plugin that cannot start is one line and exit code 1', async t => {
  const cases: Readonly<Record<string, RegExp>> = {
    '() => { throw new TypeError("no good") }':
      /^sick cannot start: TypeError: no good \(.*bad\.js:\d+:\d+\)\.$/,
    '() => Promise.reject(new Error("no server"))': /^sick cannot start: no server \(.*bad\.js:\d+:\d+\)\.$/,
    '() => undefined':
      /^sick cannot start: its create gave undefined instead of a function or \{ operator \}\.$/,
  }
  for (const [create, message] of Object.entries(cases)) {
    const folder = t.testdir({ 'bad.js': plugin(processor(['sick', create])), 'config.yaml': sick })
    const running = startFullspan(t, join(folder, 'config.yaml'))
    t.equal(await running.exited, 1)
    t.match(running.text().join('\n'), message)
  }
})

t.test('a plugin that does not come to its start does not keep Fullspan from stopping', async t => {
  const hanging = '() => { console.error("creating"); return new Promise(() => {}) }'
  const folder = t.testdir({ 'bad.js': plugin(processor(['sick', hanging])), 'config.yaml': sick })
  const running = startFullspan(t, join(folder, 'config.yaml'))
  while (!running.text().includes('creating')) await new Promise(resolve => setTimeout(resolve, 20))
  t.equal((await running.stop()).code, 1)
})

const sick = `
plugins: [./bad.js]
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
processors: {sick: }
exporters: {file: {path: "-"}}
service:
  shutdown_timeout: 200ms
  pipelines: {traces: {receivers: [otlp], processors: [sick], exporters: [file]}}
`

/** Two spans each, one request after the other; every one must be accepted. */
async function sendAll(t: { equal(found: unknown, wanted: unknown): unknown }, running: RunningFullspan) {
  const address = await otlpHttpAddress(running)
  const statuses = new Set<number>()
  for (let number = 0; number < requests; number++) {
    const response = await postSpans(address, [spanFields(2 * number), spanFields(2 * number + 1)])
    statuses.add(response.status)
  }
  t.equal([...statuses].join(), '200')
}
