/**
 * Work that can be interrupted after each step, so that it never holds up all else for long. Yields the work of the step, in units of
 * about a third of a microsecond.
 */
export type Steps<Result> = Generator<number, Result, undefined>

/** All steps at once. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
