import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../core/package-root.ts'

/** Builds bench/capture/programs/NAME.c into `folder`. */
export function compileProgram(name: string, folder: string): string {
  const path = join(folder, name)
  const source = join(packageRoot(), 'bench/capture/programs', `${name}.c`)
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', path, source], { stdio: 'inherit' })
  return path
}

export interface LineProgram {
  readonly child: ChildProcessWithoutNullStreams
  say(line: string): void
  line(): Promise<string>
  stop(): Promise<void>
}

/** A program that is spoken to by lines, and ends with its input. */
export function startLines(path: string, args: readonly string[] = []): LineProgram {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stderr.pipe(process.stderr)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exited = once(child, 'close')
  return {
    child,
    say: line => void child.stdin.write(`${line}\n`),
    async line() {
      const next = await lines.next()
      if (next.done === true) throw new Error(`${path} said nothing more`)
      return next.value
    },
    async stop() {
      child.stdin.end()
      await exited
    },
  }
}
