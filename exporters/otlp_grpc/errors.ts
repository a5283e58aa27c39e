import { FullspanError } from '../../core/errors.ts'
import { grpcCode, type Status } from '../../formats/otlp/status.ts'

const retryable: ReadonlySet<number> = new Set([
  grpcCode.cancelled,
  grpcCode.deadlineExceeded,
  grpcCode.aborted,
  grpcCode.outOfRange,
  grpcCode.unavailable,
  grpcCode.dataLoss,
])

/** What a failed call asks for (OTLP 1.11 "Failures"): RESOURCE_EXHAUSTED may be retried only if the server says when. */
export function failedCall(
  id: string,
  endpoint: string,
  { code, message, retryAfterMs }: Status,
): FullspanError {
  const canRetry = retryable.has(code) || (code === grpcCode.resourceExhausted && retryAfterMs !== undefined)
  const what = `${codeNames.get(code) ?? `gRPC code ${code}`}${message === '' ? '' : `, ${message}`}`
  if (!canRetry) {
    return new FullspanError({
      code: 'OTLP_REJECTED',
      remedy: 'drop',
      // Too large, or something in it is invalid: parts of it may be taken.
      retryApart: code === grpcCode.invalidArgument || code === grpcCode.resourceExhausted,
      message: `${id}: ${endpoint} refused a batch for good: ${what}.`,
    })
  }
  return new FullspanError({
    code: 'OTLP_UNAVAILABLE',
    remedy: 'retry',
    message: `${id} could not deliver to ${endpoint} for now: ${what}.`,
    afterMs: retryAfterMs,
  })
}

const codeNames = new Map(
  Object.entries(grpcCode).map(([name, code]) => [
    code as number,
    name.replaceAll(/[A-Z]/g, '_$&').toUpperCase(),
  ]),
)

export function requestTooLarge(id: string, sizeBytes: number, maximumBytes: number): FullspanError {
  return new FullspanError({
    code: 'OTLP_REQUEST_TOO_LARGE',
    remedy: 'drop',
    retryApart: true,
    message: `${id} did not send a batch of ${sizeBytes} bytes, more than max_request_size (${maximumBytes}). Set send_batch_max_size of the batch processor.`,
  })
}
