/** The candidate that a typing mistake most likely meant, or undefined where none is near. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.ceil(name.length / 3) + 1
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** ` Did you mean "x"?` or the list of what is allowed: the end of a sentence about an unknown name. */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const allowed = [...candidates]
  const meant = nearest(name, allowed)
  if (meant !== undefined) return ` Did you mean "${meant}"?`
  if (allowed.length === 0) return ''
  return ` Allowed: ${allowed.toSorted().join(', ')}.`
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost 1. */
function editDistance(left: string, right: string): number {
  let older: number[] = []
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const current = [i]
    for (let j = 1; j <= right.length; j++) {
      const cost = left[i - 1] === right[j - 1] ? 0 : 1
      let distance = Math.min(current[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + cost)
      const swapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      if (swapped) distance = Math.min(distance, older[j - 2]! + 1)
      current.push(distance)
    }
    older = previous
    previous = current
  }
  return previous[right.length]!
}
