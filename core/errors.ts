/** What whoever catches a failure is to do about it: the Collector's permanent and retryable, named as an instruction. */
export type Remedy = 'fix-config' | 'retry' | 'drop'

/**
 * Every failure that Fullspan reports on purpose. `code` is never reused; docs/reference/errors.md has cause and cure of each.
 * The message says where, what is wrong, what was found and what to do.
 */
export class FullspanError extends Error {
  override readonly name = 'FullspanError'
  readonly code: string
  readonly remedy: Remedy
  /** `retry`: not before this many milliseconds, where the other side said so. */
  readonly afterMs: number | undefined
  /**
   * `drop`: the other side refused the content for good, which may be the fault of one sender; a batch merged from several intakes is
   * sent once more, intake by intake.
   */
  readonly retryApart: boolean

  constructor(failure: {
    code: string
    remedy: Remedy
    message: string
    afterMs?: number | undefined
    retryApart?: boolean
    cause?: unknown
  }) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: failure.cause })
    this.code = failure.code
    this.remedy = failure.remedy
    this.afterMs = failure.afterMs
    this.retryApart = failure.retryApart === true
  }
}
