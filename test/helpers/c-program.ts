import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkout } from './live-capture.ts'

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
