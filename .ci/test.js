// Runs compiled tap tests: `node .ci/test.js [PART OF A PATH…]`. Each is a plain script that prints TAP. Not by tap's own
// runner: it loads its TypeScript and mock loaders into every test and into every process that a test starts, where module
// hooks, ordinary users and plugins then meet them.
// Prints a line for each file, what failed in whole, what was skipped with its reason, and at the end
// `N passed, N failed, N skipped`. Exits 1 if anything failed or nothing ran.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const longestMs = 5 * 60_000
const root = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const files = readdirSync(join(root, 'dist/test'), { recursive: true })
  .filter(
    file => file.endsWith('.test.js') && (wanted.length === 0 || wanted.some(part => file.includes(part))),
  )
  .sort()

const total = { passed: 0, failed: 0, skipped: 0 }
const skips = new Map()
// What captures live sees, and is slowed down by, what others capture: those run one after another, beside all else.
const isLive = file => /^(bpf|e2e|kernels)\/|^cli\/record/.test(file)
const live = files.filter(isLive)
const others = files.filter(file => !isLive(file))
const startedMs = Date.now()
await Promise.all(availableParallelism() > 1 ? [work(live), work(others)] : [work(files)])
printSkips()
if (files.length === 0) total.failed++
console.log(`\n${files.length} files in ${seconds(startedMs)}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0

async function work(waiting) {
  for (const file of waiting) {
    const beganMs = Date.now()
    const { output, end } = await run(file)
    const summary = /^# (\{ .*\})$/m.exec(output)?.[1] ?? ''
    const count = name => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
    const isGreen = end === 'code 0' && count('fail') === 0 && summary !== ''
    const isSkipped = /^1\.\.0 # SKIP/im.test(output)
    total.passed += count('pass')
    total.skipped += count('skip')
    total.failed += isGreen || isSkipped ? 0 : Math.max(1, count('fail'))
    console.log(`${isGreen || isSkipped ? 'ok' : 'NOT OK'} ${file} ${summary} ${seconds(beganMs)}`)
    if (!isGreen && !isSkipped) printFailure(output, end)
    for (const [, test, reason] of output.matchAll(/^ *ok \d+ - (.*?) # SKIP ?(.*)$/gim)) {
      skips.set(reason, [...(skips.get(reason) ?? []), `${file}: ${test}`])
    }
  }
}

function run(file) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['--enable-source-maps', join(root, 'dist/test', file)], {
      cwd: root,
      // tap's own limit for a test is half a minute, which a busy machine exceeds
      env: { ...process.env, TAP_TIMEOUT: String(longestMs / 1000) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const chunks = []
    child.stdout.on('data', chunk => chunks.push(chunk))
    child.stderr.on('data', chunk => chunks.push(chunk))
    const timer = setTimeout(() => child.kill('SIGTERM'), longestMs)
    const killer = setTimeout(() => child.kill('SIGKILL'), longestMs + 10_000)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      clearTimeout(killer)
      resolve({ output: Buffer.concat(chunks).toString('utf8'), end: signal ?? `code ${code}` })
    })
  })
}

/** All that is not a success: failed assertions with what they say, and what the test wrote beside its TAP. */
function printFailure(output, end) {
  const lines = output.split('\n').filter(line => !/^ *ok \d+|^ *1\.\.\d+$|^ *$/.test(line))
  for (const line of lines.slice(0, 200)) console.log(`    ${line}`)
  if (lines.length > 200) console.log(`    … ${lines.length - 200} more lines`)
  console.log(`    ended with ${end}`)
}

function printSkips() {
  for (const [reason, tests] of skips) {
    console.log(`\nskipped: ${reason}`)
    for (const test of tests) console.log(`  ${test}`)
  }
}

function seconds(sinceMs) {
  return `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`
}
