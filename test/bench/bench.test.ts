import { execFile } from 'node:child_process'
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
