import { FullspanError } from '../../core/errors.ts'

export function badOption(option: string, text: string, wanted: string): FullspanError {
  return new FullspanError({
    code: 'RECORD_BAD_OPTION',
    remedy: 'fix-config',
    message: `${option} must be ${wanted}, but is "${text}".`,
  })
}
