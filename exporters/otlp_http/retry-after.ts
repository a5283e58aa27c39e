/** `Retry-After` (RFC 9110 §10.2.3), seconds or a date, as ms from now; undefined where it is neither. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  const plain = text?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain) * 1000
  // A date has a weekday or a month in it; Date.parse alone would also take `-5`.
  const atMs = /[A-Za-z]{3}/.test(plain) ? Date.parse(plain) : Number.NaN
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
