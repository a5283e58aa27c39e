const mib = 2 ** 20

/** As in the config; 0 where a setting is not used. */
export interface LimitSettings {
  readonly limit_mib: number
  readonly limit_percentage: number
  readonly spike_limit_mib: number
  readonly spike_limit_percentage: number
}

export interface Limits {
  /** Above it garbage is collected at once. */
  readonly hardBytes: number
  /** Above it intakes are refused: the hard limit less the expected spike, by default a fifth of the limit. */
  readonly softBytes: number
}

/** `limit_mib` wins over `limit_percentage`, as in the Collector. */
export function limitsFrom(settings: LimitSettings, totalBytes: () => number): Limits {
  const { limit_mib, limit_percentage, spike_limit_mib, spike_limit_percentage } = settings
  if (limit_mib > 0) {
    const hardBytes = limit_mib * mib
    return { hardBytes, softBytes: hardBytes - (spike_limit_mib > 0 ? spike_limit_mib * mib : hardBytes / 5) }
  }
  const total = totalBytes()
  const hardBytes = (total * limit_percentage) / 100
  const spikeBytes = spike_limit_percentage > 0 ? (total * spike_limit_percentage) / 100 : hardBytes / 5
  return { hardBytes, softBytes: hardBytes - spikeBytes }
}
