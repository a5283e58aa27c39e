// Reads TAP: prints a line for each test file, what failed in whole, what was skipped with its reason, and at the end
// `N passed, N failed, N skipped`. Exits 1 if anything failed, or nothing ran.
import { createInterface } from 'node:readline'

const skips = new Map()
let summary = ''
let isFailure = false

for await (const line of createInterface({ input: process.stdin })) {
  if (/^# \{ .*\}$/.test(line)) summary = line
  const skip = /^ *ok \d+ - (.*?) # SKIP ?(.*)$/i.exec(line)
  if (skip) skips.set(skip[2], [...(skips.get(skip[2]) ?? []), skip[1]])
  const isResult = /^( *)(not )?ok \d+/.exec(line)
  if (isResult) isFailure = isResult[2] !== undefined
  if (/^(not )?ok \d+ - /.test(line) || isFailure) console.log(line)
}

for (const [reason, tests] of skips) {
  console.log(`\nskipped because ${reason}:`)
  for (const test of tests) console.log(`  ${test}`)
}
const count = name => Number(new RegExp(`${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
const failed = summary === '' ? 1 : count('fail')
console.log(`\n${count('pass')} passed, ${failed} failed, ${count('skip')} skipped`)
process.exitCode = failed > 0 ? 1 : 0
