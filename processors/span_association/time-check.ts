import { byReference, comparableWithinNs, type HostClock } from './clocks.ts'
import type { Held } from './held.ts'
import type { Link, Linked } from './links.ts'
import type { Rules } from './rules/index.ts'

export type Impossible = '' | 'starts_before_parent' | 'ends_after_parent'

/**
 * Finds children that start before their parent or end after it, by more than clocks can be wrong. They stay where they are: a
 * proof is better than a clock, and work may go on after a response. Where it is not known on which host an APP span was
 * made, nothing is said.
 */
export function createTimeCheck({ partners }: Linked, rules: Rules) {
  const clocks = new Map<Held, HostClock>()
  for (const [sight, app] of partners) clocks.set(app, sight.clock)

  /** '' where all is well, or cannot be told. */
  function impossibleFor(child: Held, link: Link | undefined): Impossible {
    const parent = parentOf(child, link)
    if (!parent) return ''
    const isSameProcess =
      child.layer === 'app' && parent.layer === 'app' && child.resourceKey === parent.resourceKey
    if (isSameProcess) return judge({ child, parent, toleranceNs: millisecondNs, aheadNs: 0 })
    const own = clockOf(child)
    const other = clockOf(parent)
    if (!own || !other) return ''
    const withinNs = comparableWithinNs(own, other)
    if (!Number.isFinite(withinNs)) return ''
    const aheadNs = byReference(0, other) - byReference(0, own)
    return judge({ child, parent, toleranceNs: millisecondNs + withinNs, aheadNs })
  }

  function clockOf(held: Held): HostClock | undefined {
    return held.layer === 'app' ? clocks.get(held) : held.clock
  }

  function parentOf(child: Held, link: Link | undefined): Held | undefined {
    if (link) return 'span' in link.parent ? link.parent : undefined
    return child.layer === 'app' && child.parentKey !== '' ? rules.appByKey(child.parentKey) : undefined
  }

  return { impossibleFor }
}

/** `aheadNs`: what the child's clock shows more than the parent's. */
function judge(of: { child: Held; parent: Held; toleranceNs: number; aheadNs: number }): Impossible {
  const { child, parent, toleranceNs, aheadNs } = of
  if (child.start - aheadNs < parent.start - toleranceNs) return 'starts_before_parent'
  return child.end - aheadNs > parent.end + toleranceNs ? 'ends_after_parent' : ''
}

/** SDKs start spans at whole milliseconds. */
const millisecondNs = 1e6
