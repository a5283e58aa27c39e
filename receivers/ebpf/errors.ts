import { FullspanError } from '../../core/errors.ts'

/** The probe did not start, or cannot capture on this machine: the message is its own line. */
export const cannotCapture = (reason: string, cause?: unknown): FullspanError =>
  new FullspanError({ code: 'EBPF_CANNOT_CAPTURE', remedy: 'fix-config', message: `ebpf: ${reason}`, cause })

/** The probe ended although nobody asked it to. */
export const captureEnded = (reason: string): FullspanError =>
  new FullspanError({ code: 'EBPF_CAPTURE_ENDED', remedy: 'retry', message: `ebpf: ${reason}` })

/** Bytes that are not the probe's records, or of another version of them. */
export const brokenStream = (what: string): FullspanError =>
  new FullspanError({ code: 'EBPF_BROKEN_STREAM', remedy: 'drop', message: `ebpf: ${what}` })

/** The file that `replay` names cannot be read. */
export const noRecording = (path: string, cause: unknown): FullspanError =>
  new FullspanError({
    code: 'EBPF_NO_RECORDING',
    remedy: 'fix-config',
    message: `ebpf cannot replay ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  })

/** The file that `record` names cannot be made. */
export const cannotRecord = (path: string, cause: unknown): FullspanError =>
  new FullspanError({
    code: 'EBPF_CANNOT_RECORD',
    remedy: 'fix-config',
    message: `ebpf cannot record to ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  })
