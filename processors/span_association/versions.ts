/** What tells two deliveries of one span apart. */
interface Version {
  readonly end: number
  readonly sizeBytes?: number
  readonly span?: { readonly sizeBytes: number }
}

/**
 * Whether a span that has come again (same id, same start) says more than before: a stream has gone on, or it was sent before
 * it was complete. Else it is a duplicate, as exporters make when they repeat a request whose reply was lost.
 */
export function isLaterVersion(again: Version, before: Version): boolean {
  return again.end > before.end || (again.end === before.end && sizeOf(again) > sizeOf(before))
}

function sizeOf({ sizeBytes, span }: Version): number {
  return sizeBytes ?? span?.sizeBytes ?? 0
}
