/** Where something stands in a config; `line` and `column` count from 1. `file` may be `--set` or `env:NAME`. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something about the config that its writer should know. Warnings do not stop the start. */
export interface Problem {
  readonly severity: 'error' | 'warning'
  readonly code: string
  readonly at: Position
  readonly message: string
}

/** `file:line:column: message`, one line. */
export function formatProblem({ at, severity, message }: Problem): string {
  const text = message.replaceAll(/\s*\n\s*/g, ' ')
  return `${at.file}:${at.line}:${at.column}: ${severity === 'warning' ? 'warning: ' : ''}${text}`
}
