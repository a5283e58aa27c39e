import t from 'tap'
import { createLogger } from '../../core/log.ts'
import { occasionally } from '../../core/log-rate.ts'
import { FullspanError } from '../../core/errors.ts'
import { giveHeapHeadroom, growthPercent } from '../../core/heap-headroom.ts'
import { createPeers } from '../../core/peers.ts'
import { packageRoot } from '../../core/package-root.ts'
import { futureOwner } from '../../core/privileges.ts'
import { startTelemetry } from '../../core/telemetry.ts'
import { manualClock } from '../../core/manual-clock.ts'
import { observeService, ownMetrics } from '../../core/own-metrics.ts'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { recordingLogger } from '../helpers/environment.ts'

function lines() {
  const written: string[] = []
  return { written, stream: { write: (line: string) => void written.push(line) } }
}

t.test('the log is one line an entry, as text or JSON, from its level on', t => {
  const text = lines()
  const logger = createLogger({ level: 'INFO', encoding: 'console' }, text.stream)
  logger.debug({}, 'left out')
  logger.child({ component: 'otlp', kind: 'receiver' }).info({ port: 4317 }, 'listening')
  t.equal(text.written.length, 1)
  t.match(
    text.written[0],
    /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] INFO: listening \{"component":"otlp","port":4317\}\n$/,
  )

  const json = lines()
  createLogger({ level: 'warn', encoding: 'json' }, json.stream).warn({ a: 1 }, 'careful')
  t.match(JSON.parse(json.written[0] ?? ''), { level: 'warn', a: 1, msg: 'careful', time: Number })
  t.end()
})

t.test('an error made on purpose is its code and message, any other has its stack', t => {
  const { written, stream } = lines()
  const logger = createLogger({ level: 'info', encoding: 'json' }, stream)
  const cause = new Error('refused')
  logger.error({ err: new FullspanError({ code: 'A_B', remedy: 'retry', message: 'not now', cause }) }, 'x')
  logger.error({ err: new TypeError('a fault') }, 'x')
  logger.error({ err: 'no error at all' }, 'x')
  const told = new FullspanError({ code: 'A_B', remedy: 'retry', message: 'not now: refused.', cause })
  logger.error({ err: told }, 'x')
  const [first, second, third, fourth] = written.map(line => JSON.parse(line) as { err: unknown })
  t.equal(first?.err, 'A_B: not now (refused)')
  t.match(second?.err, { type: 'TypeError', message: 'a fault', stack: /core\.test/ })
  t.equal(third?.err, 'no error at all')
  t.equal(fourth?.err, 'A_B: not now: refused.', 'its cause is not said twice')
  t.end()
})

t.test('what may happen for every batch is said at most every 10 s, with the repeats counted', t => {
  const clock = manualClock()
  const logger = recordingLogger()
  const say = occasionally(logger, clock)
  for (let count = 0; count < 5; count++) say.warn({}, 'full')
  say.error({}, 'something else')
  clock.advance(10_000)
  say.warn({}, 'full')
  t.match(logger.lines, [
    { message: 'full' },
    { message: 'something else' },
    { message: 'full', fields: { repeats: 4 } },
  ])
  t.end()
})

t.test('peers are bounded: the oldest go first', t => {
  const peers = createPeers()
  for (let port = 0; port < 70_000; port++) peers.set(`10.0.0.1:${port}`, `process ${port}`)
  t.equal(peers.get('10.0.0.1:0'), undefined)
  t.equal(peers.get('10.0.0.1:69999'), 'process 69999')
  t.end()
})

t.test('the package root has what is not code', t => {
  t.ok(existsSync(join(packageRoot(), 'package.json')))
  t.ok(existsSync(join(packageRoot(), 'pipeline.config.json')))
  t.end()
})

t.test('only root has privileges to give up, and only to a user that exists', t => {
  if (process.getuid?.() !== 0) {
    t.equal(futureOwner('nobody'), undefined)
    t.end()
    return
  }
  t.match(futureOwner('nobody'), { uid: 65534, gid: 65534 })
  t.equal(futureOwner('root'), undefined)
  t.throws(() => futureOwner('no-such-user'), { code: 'SERVICE_NO_SUCH_USER', remedy: 'fix-config' })
  t.end()
})

t.test('the metrics page has the Collector’s names, with or without the ending of counters', async t => {
  const service = {
    ledger: () => [
      {
        branch: 'traces → out',
        pipeline: 'traces',
        exporter: 'out',
        signal: 'traces' as const,
        received: 9,
        created: 0,
        delivered: 5,
        merged: 0,
        held: 1,
        dropped: 3,
        drops: [
          { component: 'sample', reason: 'not sampled', items: 1 },
          { component: 'out', reason: 'shutdown', items: 2 },
        ],
      },
    ],
    stats: () => ({
      receivers: [
        { id: 'otlp', signals: new Map([['traces' as const, { accepted: 9, refused: 2, failed: 1 }]]) },
      ],
      processors: [],
      exporters: [],
      openIntakes: 1,
      settledIntakes: 3,
    }),
  }
  for (const withoutTypeSuffix of [true, false]) {
    const telemetry = await startTelemetry({ level: 'normal', host: 'localhost', port: 0, withoutTypeSuffix })
    observeService(telemetry.meter('fullspan'), service)
    const page = await (await fetch(`http://${telemetry.address}/metrics`)).text()
    const total = withoutTypeSuffix ? '' : '_total'
    for (const line of [
      `otelcol_receiver_accepted_spans${total}{receiver="otlp"} 9`,
      `otelcol_receiver_refused_spans${total}{receiver="otlp"} 2`,
      `otelcol_exporter_sent_spans${total}{exporter="out"} 5`,
      `otelcol_exporter_send_failed_spans${total}{exporter="out"} 2`,
      `fullspan_ledger_dropped_items${total}{pipeline="traces",exporter="out",component="sample",reason="not sampled"} 1`,
      'fullspan_ledger_held_items{pipeline="traces",exporter="out"} 1',
    ]) {
      t.ok(page.split('\n').includes(line), line)
    }
    for (const { name } of ownMetrics) t.match(name, /^(otelcol|fullspan)_[a-z_]+$/)
    t.equal((await fetch(`http://${telemetry.address}/`)).status, 404)
    await telemetry.stop()
  }
})

t.test('with level none nothing listens, and meters work', async t => {
  const telemetry = await startTelemetry({
    level: 'none',
    host: 'localhost',
    port: 0,
    withoutTypeSuffix: true,
  })
  t.equal(telemetry.address, undefined)
  telemetry.meter('x').createCounter('x').add(1)
  await telemetry.stop()
})

t.test('a small heap may grow before it is collected, a large one is left to V8', t => {
  const mebibyte = 1024 * 1024
  t.equal(growthPercent(20 * mebibyte), 200)
  t.equal(growthPercent(40 * mebibyte), 100)
  t.equal(growthPercent(41 * mebibyte), 0)
  t.equal(growthPercent(5 * mebibyte), 300)
  const timers = new Set<() => void>()
  const stop = giveHeapHeadroom({
    after(_delayMs, callback) {
      timers.add(callback)
      return () => timers.delete(callback)
    },
  })
  const [adjust] = timers
  timers.clear()
  adjust?.()
  t.equal(timers.size, 1, 'it looks again and again')
  stop()
  t.equal(timers.size, 0)
  t.end()
})
