import type { Signal } from '../model/batch.ts'

/** Items that went, by component and reason. */
class Drops {
  readonly byComponent = new Map<string, Map<string, number>>()
  total = 0

  add(component: string, reason: string, items: number): void {
    if (items === 0) return
    let reasons = this.byComponent.get(component)
    if (!reasons) this.byComponent.set(component, (reasons = new Map<string, number>()))
    // Reasons come from components: a hundred of them are kept apart, so that a careless one cannot grow without bound.
    const key = reasons.has(reason) || reasons.size < 100 ? reason : 'other reasons'
    reasons.set(key, (reasons.get(key) ?? 0) + items)
    this.total += items
  }

  get list(): readonly DropEntry[] {
    return [...this.byComponent].flatMap(([component, reasons]) =>
      [...reasons].map(([reason, items]) => ({ component, reason, items })),
    )
  }
}

export interface DropEntry {
  readonly component: string
  readonly reason: string
  readonly items: number
}

/** What one pipeline has done with its items before they part for the exporters. */
export class PipelineBook {
  readonly id: string
  readonly signal: Signal
  readonly branches: BranchBook[] = []
  readonly drops = new Drops()
  received = 0
  created = 0
  merged = 0
  /** Items in processors. */
  held = 0

  constructor(id: string, signal: Signal) {
    this.id = id
    this.signal = signal
  }
}

/** What one exporter has done with the items of one pipeline. */
export class BranchBook {
  readonly pipeline: PipelineBook
  readonly exporter: string
  /** Place in the accounts of intakes: branches of all pipelines are numbered through. */
  readonly index: number
  readonly drops = new Drops()
  delivered = 0
  /** Items in the exporter's queue or on their way. */
  held = 0

  constructor(pipeline: PipelineBook, exporter: string, index: number) {
    this.pipeline = pipeline
    this.exporter = exporter
    this.index = index
    pipeline.branches.push(this)
  }
}

/** The account of one branch: received + created = delivered + dropped + merged + held, at any time. */
export interface LedgerEntry {
  readonly branch: string
  readonly pipeline: string
  readonly exporter: string
  readonly signal: Signal
  readonly received: number
  readonly created: number
  readonly delivered: number
  readonly merged: number
  readonly held: number
  readonly dropped: number
  readonly drops: readonly DropEntry[]
}

/** The account of a branch as plain values. */
export function ledgerEntry({ pipeline, exporter, drops, delivered, held }: BranchBook): LedgerEntry {
  return {
    branch: `${pipeline.id} → ${exporter}`,
    pipeline: pipeline.id,
    exporter,
    signal: pipeline.signal,
    received: pipeline.received,
    created: pipeline.created,
    delivered,
    merged: pipeline.merged,
    held: pipeline.held + held,
    dropped: pipeline.drops.total + drops.total,
    drops: [...pipeline.drops.list, ...drops.list],
  }
}

/** 0 when the account is in balance. */
export function imbalance(entry: LedgerEntry): number {
  return entry.received + entry.created - entry.delivered - entry.dropped - entry.merged - entry.held
}
