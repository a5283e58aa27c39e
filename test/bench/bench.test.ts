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
  for (const row of ['count', 'check to the leaves', 'ids and times', 'all attributes', 'change one, encode']) {
    t.match(text, new RegExp(`^${row} +[\\d,]+ +[\\d,]+ +[\\d.]+× +\\d+×$`, 'm'))
  }
})
