/**
 * The learnt distribution of a delay, in ns: a mixture of kernels on the scale asinh(delay / unit), which is linear below the clock's
 * resolution and logarithmic above it, so that microseconds and seconds find room in one grid. One kernel in ten is four times as
 * wide, for the tails; two samples' worth lie everywhere, so that nothing is impossible.
 *
 * 3 KiB each. `log` costs about 20 ns.
 */
export class DelayDensity {
  /** Settled samples, aged; and those of the assignment that is being tried. */
  private readonly settled = new Float32Array(bins)
  private readonly tried = new Float32Array(bins)
  private readonly grid = new Float32Array(bins)
  private readonly unit: number
  private readonly low: number
  private readonly width: number
  private settledWeight = 0
  private triedWeight = 0

  /** `unit`: the resolution of the clock, ns. */
  constructor(unit: number) {
    this.unit = unit
    const high = Math.asinh(longestNs / unit)
    this.low = -high / 2
    this.width = (high - this.low) / bins
  }

  get weight(): number {
    return this.settledWeight + this.triedWeight
  }

  try(delay: number, weight: number): void {
    this.put(this.tried, delay, weight)
    this.triedWeight += weight
  }

  settle(delay: number, weight: number): void {
    this.put(this.settled, delay, weight)
    this.settledWeight += weight
  }

  clearTried(): void {
    this.tried.fill(0)
    this.triedWeight = 0
  }

  /** Keeps at most `mostWeight` of the past, so that what comes counts. */
  age(mostWeight: number): void {
    if (this.settledWeight <= mostWeight) return
    const factor = mostWeight / this.settledWeight
    for (let at = 0; at < bins; at++) this.settled[at]! *= factor
    this.settledWeight = mostWeight
  }

  /** To be called after samples changed, before `log`. `pooled` stands for as many samples as `pooledWeight`. */
  fit(pooled?: DelayDensity, pooledWeight = 0): void {
    const { weight, width } = this
    const mass = new Float64Array(bins)
    for (let at = 0; at < bins; at++) mass[at] = this.settled[at]! + this.tried[at]!
    const spread = Math.max(this.interquartile(mass), width) / 1.34
    const narrow = Math.max(width * 0.7, 0.9 * spread * Math.max(weight, 1) ** -0.2)
    const smooth = new Float64Array(bins)
    spreadOut(mass, { into: smooth, bandwidth: narrow / width, share: 0.9 })
    spreadOut(mass, { into: smooth, bandwidth: (4 * narrow) / width, share: 0.1 })
    for (let at = 0; at < bins; at++) {
      const own = (smooth[at]! + everywhere / bins) / (weight + everywhere) / width
      const shared = pooled ? Math.exp(pooled.grid[at]!) : 0
      this.grid[at] = Math.log((own * weight + shared * pooledWeight) / (weight + pooledWeight) || own)
    }
  }

  /** Log of the density at this delay, per ns. */
  log(delay: number): number {
    const ratio = delay / this.unit
    const at = this.place(ratio)
    const left = at | 0
    const onGrid = this.grid[left]! * (1 - at + left) + this.grid[left + 1]! * (at - left)
    return onGrid - 0.5 * Math.log(ratio * ratio + 1) - Math.log(this.unit)
  }

  private put(into: Float32Array, delay: number, weight: number): void {
    const at = this.place(delay / this.unit)
    const left = at | 0
    into[left]! += weight * (1 - at + left)
    into[left + 1]! += weight * (at - left)
  }

  private place(ratio: number): number {
    const at = (Math.asinh(ratio) - this.low) / this.width - 0.5
    return at < 0 ? 0 : at > bins - 1.001 ? bins - 1.001 : at
  }

  private interquartile(mass: Float64Array): number {
    let sum = 0
    let first = 0
    for (let at = 0; at < bins; at++) {
      sum += mass[at]!
      if (sum < 0.25 * this.weight) first = at
      if (sum >= 0.75 * this.weight) return (at - first) * this.width
    }
    return 0
  }
}

/** From a minute down to the resolution on both sides of 0: for 1 µs, six bins per doubling. */
const bins = 256
const longestNs = 60e9
const everywhere = 2

/** Adds `share` of the mass, each bin blurred by a Gaussian of `bandwidth` bins. */
function spreadOut(
  mass: Float64Array,
  { into, bandwidth, share }: { into: Float64Array; bandwidth: number; share: number },
): void {
  const reach = Math.ceil(bandwidth * 3.5)
  const kernel = new Float64Array(reach + 1)
  let sum = 0
  for (let far = 0; far <= reach; far++) {
    kernel[far] = Math.exp(-0.5 * (far / bandwidth) ** 2)
    sum += far === 0 ? 1 : 2 * kernel[far]!
  }
  for (let from = 0; from < bins; from++) {
    if (mass[from] === 0) continue
    const height = (mass[from]! * share) / sum
    for (let far = -reach; far <= reach; far++) {
      into[Math.min(bins - 1, Math.max(0, from + far))]! += height * kernel[Math.abs(far)]!
    }
  }
}

/**
 * Differential entropy of delays by their m-spacings (Vasicek 1976), in nats: how little a reference event tells about when another
 * follows. `resolution` keeps equal values from being infinitely telling.
 */
export function entropyOf(delays: readonly number[], resolution: number): number {
  const sorted = [...delays].sort((a, b) => a - b)
  const { length } = sorted
  const reach = Math.max(1, Math.round(Math.sqrt(length)))
  let sum = 0
  for (let at = 0; at < length; at++) {
    const spacing = sorted[Math.min(length - 1, at + reach)]! - sorted[Math.max(0, at - reach)]!
    sum += Math.log((length * (spacing + resolution)) / (2 * reach))
  }
  return sum / length
}
