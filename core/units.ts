const durationUnitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** A duration as Go writes it (`200ms`, `1m30s`, `0`) in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    totalMs += Number(amount) * (durationUnitMs[unit ?? ''] ?? 0)
  }
  return totalMs
}

const sizeUnitBytes: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** A size (`4MiB`, `64_000`, `1.5GB`) in bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d[\d_]*(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text)
  const unit = sizeUnitBytes[match?.[2] ?? '?']
  if (!match || unit === undefined) return undefined
  return Math.round(Number(match[1]?.replaceAll('_', '')) * unit)
}

/** `host:port`, `[::1]:port` or `:port` (every address); undefined for anything else. */
export function parseEndpoint(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) return undefined
  return { host: match[1] ?? match[2] ?? '', port }
}
