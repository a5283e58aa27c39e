import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { packageRoot } from '../../core/package-root.ts'

const run = promisify(execFile)
const main = join(packageRoot(), 'dist', 'bench', 'main.js')

/** What `npm run bench` prints. */
async function bench(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [main, ...args], { timeout: 120_000 })
  return stdout
}

t.test('--help names every part', async t => {
  const text = await bench('--help')
  t.match(text, /^ {2}model /m)
})

t.test('a part that does not exist is an error that names those that do', async t => {
  await t.rejects(bench('modle'), { code: 1, stderr: /There is no part "modle"[^]*model/ })
})

t.test('model prints each figure with its baseline, their ratio and the goal', async t => {
  const text = await bench('model', '--quick')
  for (const row of [
    'count',
    'check to the leaves',
    'ids and times',
    'all attributes',
    'change one, encode',
  ]) {
    t.match(text, new RegExp(`^${row} +[\\d,]+ +[\\d,]+ +[\\d.]+× +\\d+×$`, 'm'))
  }
})

t.test('relay runs Fullspan and the bare relay, and prints what they cost', async t => {
  for (const [only, way] of [
    ['http 8', 'otlp → batch → otlp_http, 8 spans a request'],
    ['grpc 512', 'otlp → batch → otlp_grpc, 512 spans a request'],
  ] as const) {
    const text = await bench('relay', '--quick', '--only', only)
    t.match(text, `relay: ${way}`)
    t.match(text, /^Fullspan +[\d,]+ +[\d,]+ .* [\d.]+ % .*\d$/m)
    t.match(text, /^bare relay +[\d,]+ +[\d.]+× +[\d,]+ .* [\d.]+ % .*\d$/m)
  }
})

t.test('causality writes a guess for each call of a set', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'fullspan-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'one.spans.jsonl')
  const spans = Array.from({ length: 60 }, (_, at) => {
    const start_us = 1_700_000_000_000_000 + at * 40_000
    return [
      {
        id: 3 * at + 1,
        service: 'a',
        side: 'in',
        op: 'GET /',
        start_us,
        end_us: start_us + 30_000,
        call: null,
      },
      {
        id: 3 * at + 2,
        service: 'a',
        side: 'out',
        op: 'GET /b',
        peer: 'b',
        start_us: start_us + 900 + at,
        end_us: start_us + 29_000,
      },
      {
        id: 3 * at + 3,
        service: 'b',
        side: 'in',
        op: 'GET /b',
        start_us: start_us + 1000 + at,
        end_us: start_us + 28_000,
      },
    ].map(span => (span.id % 3 === 1 ? span : { ...span, call: at }))
  }).flat()
  writeFileSync(file, spans.map(span => `${JSON.stringify(span)}\n`).join(''))
  const lines = (await bench('causality', '--spans', file)).trim().split('\n')
  t.equal(lines.length, 60)
  for (const line of lines) {
    const { id, parent, confidence, rule } = JSON.parse(line) as Record<string, unknown>
    t.equal(parent, Number(id) - 1)
    t.ok(Number(confidence) > 0.5 && Number(confidence) < 1)
    t.equal(rule, 'statistics')
  }
})

t.test('causality without data says so', async t => {
  t.match(await bench('causality', '--data', 'nowhere'), /no sets in nowhere; name their folder/)
})

t.test('assembly prints what a trace takes and what is sustained', async t => {
  const text = await bench('assembly', '--quick')
  for (const size of ['100', '1,000', '10,000']) t.match(text, new RegExp(`^${size} +[\\d.]+ ms`, 'm'))
  t.match(text, /^association +[\d,]+ spans\/s/m)
})
