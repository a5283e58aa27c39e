import type { Guess } from './infer.ts'
import type { SetSpan, Truth } from './sets.ts'

/** Shares from 0 to 1. */
export interface Score {
  /** `out` spans with the right parent, best guess. */
  readonly parents: number
  /** Traces in which every `out` span has it. */
  readonly traces: number
  /** `out` spans with a wrong parent, and with none, at this confidence and above. */
  readonly wrong: number
  readonly unlinked: number
  /** The worst shortfall of a tenth of confidence: its lower bound less the share of its links that are right; 0 if all keep their word. */
  readonly overconfidence: number
}

export function scoreOf(
  spans: readonly SetSpan[],
  truth: ReadonlyMap<number, Truth>,
  { guesses, minConfidence }: { guesses: readonly Guess[]; minConfidence: number },
): Score {
  const byId = new Map(guesses.map(guess => [guess.id, guess]))
  const whole = new Map<number, boolean>()
  const tenths = Array.from({ length: 10 }, () => ({ right: 0, all: 0 }))
  let [all, right, wrong, unlinked] = [0, 0, 0, 0]
  for (const { id, side } of spans) {
    if (side !== 'out') continue
    const { trace, parent } = truth.get(id)!
    const guess = byId.get(id)
    const isRight = guess?.parent != null && guess.parent === parent
    all++
    if (isRight) right++
    whole.set(trace, (whole.get(trace) ?? true) && isRight)
    if (guess?.parent == null || guess.confidence < minConfidence) unlinked++
    else if (!isRight) wrong++
    if (guess?.parent == null) continue
    const tenth = tenths[Math.min(9, Math.floor(guess.confidence * 10))]!
    tenth.all++
    if (isRight) tenth.right++
  }
  const shortfalls = tenths.map(({ right: good, all: some }, at) =>
    some < fewest ? 0 : at / 10 - good / some,
  )
  return {
    parents: right / all,
    traces: [...whole.values()].filter(Boolean).length / whole.size,
    wrong: wrong / all,
    unlinked: unlinked / all,
    overconfidence: Math.max(0, ...shortfalls),
  }
}

/** A tenth with fewer links says nothing. */
const fewest = 30
