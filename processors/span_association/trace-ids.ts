import type { AppSpan, Held } from './held.ts'
import type { Linked } from './links.ts'
import type { Memory } from './memory.ts'

/**
 * The final trace id of every span of a component (design §8, "Trace ids"). OpenTelemetry's are never changed, unless
 * `unify`. Ids that we made (from SkyWalking's, or provisional ones of exchanges) yield to the OpenTelemetry id nearest the
 * root; without any, to the one of the root itself. Trees of one component share an id if their SDKs say that they are one trace.
 */
export function assignTraceIds(
  members: ReadonlySet<Held>,
  { parents }: Linked,
  { memory, unify }: { memory: Memory; unify: boolean },
): ReadonlyMap<Held, string> {
  const appsByKey = new Map<string, AppSpan>()
  for (const member of members) if (member.layer === 'app') appsByKey.set(member.ownKey, member)

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
      else children.set(parent, [...(children.get(parent) ?? []), member])
    }
    return roots.sort(byStart)
  }

  function ownParent(member: Held): Held | undefined {
    return member.layer === 'app' ? appsByKey.get(member.parentKey) : undefined
  }

  /** Trees with APP spans of one trace, put together, in the order of their first root. */
  function joinTrees(roots: readonly Held[]): Held[][] {
    let groups: { roots: Held[]; keys: Set<string> }[] = []
    for (const root of roots) {
      const keys = new Set<string>()
      visit(root, member => member.layer === 'app' && keys.add(member.traceKey))
      const same = groups.filter(group => [...keys].some(key => group.keys.has(key)))
      const joined = { roots: [...same.flatMap(group => group.roots), root], keys: new Set(keys) }
      for (const group of same) for (const key of group.keys) joined.keys.add(key)
      groups = [...groups.filter(group => !same.includes(group)), joined]
    }
    return groups.map(group => group.roots)
  }

  function idNearestRoot(trees: readonly Held[]): string {
    for (
      let level = [...trees];
      level.length > 0;
      level = level.flatMap(member => children.get(member) ?? [])
    ) {
      for (const member of level) {
        if (isFixed(member)) return member.originalTraceId
        const above = parents.get(member)?.parent
        if (above && 'span' in above && above.leftInTrace !== '') return above.leftInTrace
        if (above && !('span' in above)) return above.traceId
      }
    }
    const app = trees.find(({ layer }) => layer === 'app')
    const left = app?.layer === 'app' ? memory.traceId(app.traceKey) : undefined
    return left ?? (app ?? trees[0]!).span.traceId
  }

  function assignBelow(root: Held, shared: string): void {
    const stack: [Held, string][] = [[root, shared]]
    for (let next = stack.pop(); next; next = stack.pop()) {
      const [member, inherited] = next
      const id = isFixed(member) && !unify ? member.originalTraceId : inherited
      ids.set(member, id)
      for (const child of children.get(member) ?? []) stack.push([child, id])
    }
  }

  function visit(root: Held, see: (member: Held) => void): void {
    const stack = [root]
    for (let next = stack.pop(); next; next = stack.pop()) {
      see(next)
      stack.push(...(children.get(next) ?? []))
    }
  }
}

function isFixed(member: Held): member is AppSpan {
  return member.layer === 'app' && !member.isIdMade && member.originalTraceId !== ''
}

function byStart(a: Held, b: Held): number {
  return a.start - b.start
}
