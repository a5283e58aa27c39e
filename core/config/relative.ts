import { dirname } from 'node:path'

/** The folder from which a path in a config counts: that of its file; for `--set`, `env:` and `yaml:` the one we were started in. */
export function folderOf(file: string): string {
  return /^(--set |yaml:|env:)/.test(file) ? process.cwd() : dirname(file)
}
