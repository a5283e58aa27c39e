import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../core/package-root.ts'
import { sources } from './sources.ts'

/** docs/reference/errors.md is written by hand: what an error means cannot be generated. Its list must be the code's, both ways. */
export function checkErrors(): string[] {
  const known = errorCodes()
  const described = describedCodes()
  return [
    ...[...known]
      .filter(([code]) => !described.has(code))
      .map(([code, path]) => `docs/reference/errors.md lacks ${code} (${path}).`),
    ...[...described]
      .filter(code => !known.has(code))
      .map(code => `docs/reference/errors.md has ${code}, which is in no source.`),
  ]
}

/** Code → the file that has it. */
export function errorCodes(): ReadonlyMap<string, string> {
  const codes = new Map<string, string>()
  for (const [path, text] of sources()) {
    for (const [, code = ''] of text.matchAll(/\bcode: '([^']+)'/g)) codes.set(code, path)
  }
  return codes
}

function describedCodes(): ReadonlySet<string> {
  const text = readFileSync(join(packageRoot(), 'docs/reference/errors.md'), 'utf8')
  return new Set([...text.matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map(([, code = '']) => code))
}
