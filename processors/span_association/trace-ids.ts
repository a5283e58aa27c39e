import type { AppSpan, Held } from './held.ts'
import type { Linked } from './links.ts'
import type { Memory } from './memory.ts'
import type { Rules } from './rules/index.ts'

/**
 * The final trace id of every span of a component (design §8, "Trace ids"). OpenTelemetry's are never changed, unless
 * `unify`. Ids that we made (from SkyWalking's, or provisional ones of exchanges) yield to the OpenTelemetry id nearest the
 * root, be it a span's or one that a header names, sampled or not; without any, to the one of the root itself. Trees of one component
 * share an id if their SDKs say that they are one trace.
 */
export function assignTraceIds(
  members: ReadonlySet<Held>,
  { parents }: Linked,
  context: { readonly memory: Memory; readonly unify: boolean; readonly rules: Rules },
): ReadonlyMap<Held, string> {
  const { memory, unify, rules } = context
  const appsByKey = new Map<string, AppSpan>()
  const fixedIds = new Map<string, string>()
  for (const member of members) {
    if (member.layer !== 'app') continue
    appsByKey.set(member.ownKey, member)
    if (hasFixedId(member)) fixedIds.set(member.traceKey, member.originalTraceId)
  }

  const children = new Map<Held, Held[]>()
  const ids = new Map<Held, string>()
  for (const trees of joinTrees(findRoots())) {
    const shared = idNearestRoot(trees)
    for (const root of trees) assignBelow(root, shared)
  }
  return ids

  function findRoots(): Held[] {
    const roots: Held[] = []
    for (const member of members) {
      const parent = parents.get(member)?.parent ?? ownParent(member)
      if (!parent || !('span' in parent) || !members.has(parent)) roots.push(member)
      else {
        const siblings = children.get(parent)
        if (siblings) siblings.push(member)
        else children.set(parent, [member])
      }
    }
    return roots.sort(byStart)
  }

  function ownParent(member: Held): Held | undefined {
    return member.layer === 'app' ? appsByKey.get(member.parentKey) : undefined
  }

  /** Trees with APP spans of one trace, put together, in the order of their first root. */
  function joinTrees(roots: readonly Held[]): Held[][] {
    const groupOf = new Map<string, Group>()
    const groups: Group[] = []
    for (const root of roots) {
      let group: Group = { roots: [root], into: undefined }
      groups.push(group)
      visit(root, member => {
        if (member.layer !== 'app') return
        const other = groupOf.get(member.traceKey)
        if (other) group = joined(standing(other), group)
        else groupOf.set(member.traceKey, group)
      })
    }
    return groups
      .filter(({ into }) => !into)
      .map(group => group.roots.sort(byStart))
      .sort((a, b) => byStart(a[0]!, b[0]!))
  }

  function idNearestRoot(trees: readonly Held[]): string {
    for (
      let level = [...trees];
      level.length > 0;
      level = level.flatMap(member => children.get(member) ?? none)
    ) {
      for (const member of level.sort(byStart)) {
        if (isFixed(member)) return member.originalTraceId
        const above = parents.get(member)?.parent
        if (above && 'span' in above && above.leftInTrace !== '') return above.leftInTrace
        if (above && !('span' in above)) return above.traceId
        const named = idInHeader(member)
        if (named !== '') return named
      }
    }
    for (const tree of trees) {
      const before = memory.left(tree)
      if (before) return before.traceId
    }
    const app = trees.find(({ layer }) => layer === 'app')
    const left = app?.layer === 'app' ? memory.traceId(app.traceKey) : undefined
    return left ?? (app ?? trees[0]!).span.traceId
  }

  /** Final at once, even where nobody keeps spans of it. Of a 64-bit one, what spans of the trace made of it. */
  function idInHeader(member: Held): string {
    const headers = member.layer === 'app' ? [] : (member.exchange?.headers ?? [])
    for (const { key, traceId, traceKey } of headers) {
      if (traceId === '' || !rules.header.nested(key)) continue
      return fixedIds.get(traceKey) ?? memory.traceId(traceKey) ?? traceId
    }
    return ''
  }

  function assignBelow(root: Held, shared: string): void {
    const stack: [Held, string][] = [[root, shared]]
    for (let next = stack.pop(); next; next = stack.pop()) {
      const [member, inherited] = next
      const id = isFixed(member) && !unify ? member.originalTraceId : inherited
      ids.set(member, id)
      for (const child of children.get(member) ?? none) stack.push([child, id])
    }
  }

  function visit(root: Held, see: (member: Held) => void): void {
    const stack = [root]
    for (let next = stack.pop(); next; next = stack.pop()) {
      see(next)
      for (const child of children.get(next) ?? none) stack.push(child)
    }
  }
}

function isFixed(member: Held): member is AppSpan {
  return member.layer === 'app' && hasFixedId(member)
}

function hasFixedId({ isIdMade, originalTraceId }: AppSpan): boolean {
  return !isIdMade && originalTraceId !== ''
}

/** Not by arrival, which would give another id another time. */
function byStart(a: Held, b: Held): number {
  return a.start - b.start || (a.span.spanId < b.span.spanId ? -1 : 1)
}

/** Roots that belong together; `into` is the group that took them over. */
interface Group {
  readonly roots: Held[]
  into: Group | undefined
}

function standing(group: Group): Group {
  let last = group
  while (last.into) last = last.into
  return last
}

function joined(a: Group, b: Group): Group {
  if (a === b) return a
  const [large, small] = a.roots.length >= b.roots.length ? [a, b] : [b, a]
  for (const root of small.roots) large.roots.push(root)
  small.into = large
  return large
}

const none: readonly Held[] = []
