/** What is measured: a call that does some work and returns how many spans it went through. */
export interface Contestant {
  work(): number
}

export interface Comparison {
  /** Spans per second, median of the rounds. */
  readonly ours: number
  readonly baseline: number
  /** Median of the rounds' ratios, each of two neighbours in time. */
  readonly ratio: number
}

export interface Rounds {
  readonly rounds: number
  /** How long each of the two works in a round. */
  readonly roundMs: number
}

/** Lets both work in turn, A B A B …, so that what else the machine does hits both alike. One round before is not counted. */
export function compare(ours: Contestant, baseline: Contestant, { rounds, roundMs }: Rounds): Comparison {
  const pairs: (readonly [number, number])[] = []
  for (let round = 0; round <= rounds; round++) {
    const pair = [speedOf(ours, roundMs), speedOf(baseline, roundMs)] as const
    if (round > 0) pairs.push(pair)
  }
  return {
    ours: median(pairs.map(([speed]) => speed)),
    baseline: median(pairs.map(([, speed]) => speed)),
    ratio: median(pairs.map(([speed, other]) => speed / other)),
  }
}

/** Spans per second over at least `roundMs`. */
function speedOf(contestant: Contestant, roundMs: number): number {
  let spans = 0
  const begin = process.hrtime.bigint()
  const end = begin + BigInt(Math.round(roundMs * 1e6))
  let now = begin
  do {
    spans += contestant.work()
    now = process.hrtime.bigint()
  } while (now < end)
  return (spans * 1e9) / Number(now - begin)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
