import type { Batch, Origin } from '../model/batch.ts'
import type { Span } from '../model/span.ts'
import type { Answer } from './component.ts'
import type { BranchBook } from './ledger.ts'

/**
 * The account of one intake: how many of its items each branch still has. It counts and does not track identities. What components
 * see of it is an Origin.
 */
export class IntakeAccount implements Origin {
  readonly id: number
  readonly peer: string | undefined
  readonly receiver: string
  acceptedAtMs = 0
  items = 0
  /** The component that last took some of it. */
  holder = ''
  /** By branch index; a branch that does not get it has no entry. */
  readonly open = new Map<number, number>()
  isOverdueReported = false
  private reply: ((answer: Answer) => void) | undefined

  constructor(id: number, receiver: string, peer: string | undefined, reply?: (answer: Answer) => void) {
    this.id = id
    this.receiver = receiver
    this.peer = peer
    this.reply = reply
  }

  /** Gives the receiver its answer; only the first one counts. False for any later one. */
  answer(answer: Answer): boolean {
    const { reply } = this
    this.reply = undefined
    reply?.(answer)
    return reply !== undefined
  }
}

/** Settles the items of accepted intakes. Everything is synchronous and costs a few map look-ups a batch. */
export interface Settlement {
  /** A new account, not yet accepted: nothing is remembered of one that is refused. */
  create(receiver: string, peer: string | undefined, reply?: (answer: Answer) => void): IntakeAccount
  /** From here on, every item of it is owed by each of the branches. */
  accept(account: IntakeAccount, branches: readonly BranchBook[], items: number): void
  /** Items of an origin left these branches. */
  settle(branches: readonly BranchBook[], origin: Origin | undefined, items: number): void
  /** More items of an origin than came in: a component copied some. */
  add(branches: readonly BranchBook[], origin: Origin | undefined, items: number): void
  readonly openIntakes: number
  readonly settledIntakes: number
  /** Open intakes accepted before `beforeMs` that were not given yet. */
  takeOverdue(beforeMs: number): IntakeAccount[]
}

export function createSettlement(options: {
  nowMs: () => number
  onSettled?: (account: IntakeAccount) => void
}): Settlement {
  // In order of acceptance, so the oldest come first.
  const open = new Set<IntakeAccount>()
  let lastId = 0
  let settledIntakes = 0

  const settleIfDone = (account: IntakeAccount): void => {
    if (account.open.size > 0 || !open.delete(account)) return
    settledIntakes++
    options.onSettled?.(account)
  }
  return {
    create: (receiver, peer, reply) => new IntakeAccount(++lastId, receiver, peer, reply),
    accept(account, branches, items) {
      account.acceptedAtMs = options.nowMs()
      account.items = items
      for (const { index } of branches) account.open.set(index, items)
      open.add(account)
      if (items === 0) account.open.clear()
      settleIfDone(account)
    },
    settle(branches, origin, items) {
      if (!(origin instanceof IntakeAccount)) return
      for (const { index } of branches) {
        const owed = origin.open.get(index)
        if (owed === undefined) continue
        if (owed > items) origin.open.set(index, owed - items)
        else origin.open.delete(index)
      }
      settleIfDone(origin)
    },
    add(branches, origin, items) {
      if (!(origin instanceof IntakeAccount)) return
      for (const { index } of branches) {
        const owed = origin.open.get(index)
        if (owed !== undefined) origin.open.set(index, owed + items)
      }
    },
    get openIntakes() {
      return open.size
    },
    get settledIntakes() {
      return settledIntakes
    },
    takeOverdue(beforeMs) {
      const overdue: IntakeAccount[] = []
      for (const account of open) {
        if (account.acceptedAtMs >= beforeMs) break
        if (!account.isOverdueReported) overdue.push(account)
        account.isOverdueReported = true
      }
      return overdue
    },
  }
}

/** Items by origin, of a batch or of loose spans. */
export function sharesOf(items: Batch | readonly Span[]): ReadonlyMap<Origin | undefined, number> {
  if ('shares' in items) return items.shares
  const shares = new Map<Origin | undefined, number>()
  for (const { origin } of items) shares.set(origin, (shares.get(origin) ?? 0) + 1)
  return shares
}
