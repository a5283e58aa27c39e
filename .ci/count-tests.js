// Prints `N passed, N failed, N skipped` from tap's closing summary in a log file; a run without one has failed.
import { readFileSync } from 'node:fs'

const [, , log, status] = process.argv
const summaries = readFileSync(log, 'utf8').match(/^# \{ .*\}$/gm) ?? []
const summary = summaries.at(-1) ?? ''
const count = name => Number(new RegExp(`${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
const failed = count('fail')
const isBroken = Number(status) !== 0 && failed === 0
console.log(`${count('pass')} passed, ${failed + (isBroken ? 1 : 0)} failed, ${count('skip')} skipped`)
