import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { checkout, type Program } from './live-capture.ts'

/** Why programs in C cannot be built here, or false: for tap's `skip`. */
export const noCompiler = (): string | false => {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'gcc is not installed'
  }
}

export interface Compiled {
  readonly path: string
  remove(): void
}

/** Compiles test/bpf/programs/NAME.c into a directory of its own. */
export const compile = (name: string): Compiled => {
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-'))
  const path = join(directory, name)
  const source = join(checkout, 'test/bpf/programs', `${name}.c`)
  execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O1', '-o', path, source], { stdio: 'inherit' })
  return { path, remove: () => rmSync(directory, { recursive: true }) }
}

/** Runs a program; its lines one by one, as with `python`. */
export const runProgram = (path: string, args: readonly string[]): Program => {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exited = once(child, 'close')
  return {
    pid: child.pid!,
    async line() {
      const next = await lines.next()
      if (next.done === true) throw new Error('the program said nothing more')
      return next.value
    },
    say: text => void child.stdin.write(`${text}\n`),
    async done() {
      const [status] = (await exited) as [number | null]
      if (status !== 0) throw new Error(`the program ended with ${status ?? 'a signal'}`)
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
