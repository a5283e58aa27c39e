import { FullspanError } from '../../core/errors.ts'
import type { Signal } from '../../model/batch.ts'

/** Connection failures, time-outs and replies that ask for another try. */
export function unavailable(
  id: string,
  url: string,
  what: string,
  afterMs?: number,
  cause?: unknown,
): FullspanError {
  return new FullspanError({
    code: 'OTLP_UNAVAILABLE',
    remedy: 'retry',
    message: `${id} could not deliver to ${url} for now: ${what}.`,
    afterMs,
    cause,
  })
}

/**
 * Replies after which the same request must not be sent again (OTLP 1.11 "Retryable Response Codes"). `isForContent`: it was about
 * what is in the batch, so parts of it may be taken.
 */
export function rejected(id: string, url: string, what: string, isForContent: boolean): FullspanError {
  return new FullspanError({
    code: 'OTLP_REJECTED',
    remedy: 'drop',
    retryApart: isForContent,
    message: `${id}: ${url} refused a batch for good: ${what}.`,
  })
}

export function requestTooLarge(id: string, sizeBytes: number, maximumBytes: number): FullspanError {
  return new FullspanError({
    code: 'OTLP_REQUEST_TOO_LARGE',
    remedy: 'drop',
    retryApart: true,
    message: `${id} did not send a batch of ${sizeBytes} bytes, more than max_request_size (${maximumBytes}). Set send_batch_max_size of the batch processor.`,
  })
}

export function replyTooLarge(id: string, url: string, maximumBytes: number): FullspanError {
  return new FullspanError({
    code: 'OTLP_REPLY_TOO_LARGE',
    remedy: 'drop',
    message: `${id}: the reply of ${url} is larger than ${maximumBytes} bytes and was not read. The batch counts as refused.`,
  })
}

export function noEndpoint(id: string, signal: Signal): FullspanError {
  return new FullspanError({
    code: 'OTLP_NO_ENDPOINT',
    remedy: 'fix-config',
    message: `exporters.${id} has no URL for ${signal}. Set endpoint or ${signal}_endpoint.`,
  })
}
