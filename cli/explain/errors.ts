import { FullspanError } from '../../core/errors.ts'

export function badTraceId(trace: string): FullspanError {
  return new FullspanError({
    code: 'EXPLAIN_BAD_TRACE_ID',
    remedy: 'fix-config',
    message: `--trace must be a trace id or its first digits, in hex, but is "${trace}".`,
  })
}

export function cannotRead(path: string, cause: unknown): FullspanError {
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  return new FullspanError({
    code: 'EXPLAIN_CANNOT_READ',
    remedy: 'fix-config',
    message: `${path} cannot be read (${why}). Name the file that an exporter of type file writes, format json: fullspan explain --trace ID FILE.`,
    cause,
  })
}

export function noSuchTrace(trace: string, paths: readonly string[]): FullspanError {
  return new FullspanError({
    code: 'EXPLAIN_NO_SUCH_TRACE',
    remedy: 'fix-config',
    message: `No span in ${paths.join(', ')} (rotated files too) has a trace id that is or begins with ${trace}. A trace is written when it has been idle for the idle_timeout of span_association.`,
  })
}

export function ambiguousTrace(trace: string, ids: readonly string[]): FullspanError {
  const more = ids.length > shown ? `, … ${ids.length - shown} more` : ''
  return new FullspanError({
    code: 'EXPLAIN_AMBIGUOUS_TRACE',
    remedy: 'fix-config',
    message: `${ids.length} traces begin with ${trace}: ${ids.slice(0, shown).join(', ')}${more}. Give more digits.`,
  })
}

const shown = 10
