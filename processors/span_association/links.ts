import type { Component } from './component.ts'
import type { Exchange } from './exchange.ts'
import type { AppSpan, Held, SightSpan } from './held.ts'
import type { Memory, Remembered } from './memory.ts'
import type { Rules } from './rules/index.ts'

/** A proposed parent edge, with its rule, its evidence and its confidence (0 to 1). */
export interface Link {
  /** A span of the component, or the id of one that is not here. */
  readonly parent: Held | { readonly spanId: string; readonly traceId: string }
  readonly rule: string
  readonly confidence: number
  readonly evidence: string
}

export interface Linked {
  readonly parents: ReadonlyMap<Held, Link>
  /** SYS span → the APP span that is the same exchange in the same process. */
  readonly partners: ReadonlyMap<SightSpan, AppSpan>
  /** With `explain`: what else could have been the parent, the likeliest first. */
  readonly rejected: ReadonlyMap<Held, readonly Rejected[]>
}

export interface Rejected {
  readonly spanId: string
  readonly rule: string
  readonly confidence: number
  readonly why: string
}

export interface LinkContext {
  readonly rules: Rules
  readonly memory: Memory
  /** Links below it are not made: no link is better than a wrong one. */
  readonly minConfidence: number
  /** Notes what was rejected, too. */
  readonly isExplained: boolean
}

/**
 * Gives every span of a component its parent, by the first rule that has one. Between the APP spans of two processes come the
 * sights of the exchange: caller, `c-p`, interfaces, `s-p`, callee.
 */
export function linkComponent(component: Component, context: LinkContext): Linked {
  const { rules, memory, minConfidence } = context
  const parents = new Map<Held, Link>()
  const partners = new Map<SightSpan, AppSpan>()
  const entries = new Map<SightSpan, AppSpan>()
  const hints = new Map<Exchange, AppSpan>()
  const rejected = new Map<Held, Rejected[]>()
  for (const app of component.apps) linkApp(app)
  for (const exchange of component.exchanges) linkExchange(exchange)
  if (context.isExplained) for (const exchange of component.exchanges) explain(exchange)
  for (const [child, candidates] of rejected) {
    candidates.sort((a, b) => b.confidence - a.confidence)
    rejected.set(child, candidates.slice(0, mostRejected))
  }
  return { parents, partners, rejected }

  function propose(child: Held, link: Link): boolean {
    const isSure = link.confidence >= minConfidence
    if (isSure && !closesRing(child, link.parent)) {
      parents.set(child, link)
      return true
    }
    reject(child, link, isSure ? 'would close a ring' : `less than min_confidence ${minConfidence}`)
    return false
  }

  function reject(child: Held, { parent, rule, confidence }: Link, why: string): void {
    if (!context.isExplained) return
    const spanId = 'span' in parent ? parent.span.spanId : parent.spanId
    const candidates = rejected.get(child) ?? []
    rejected.set(child, candidates)
    if (candidates.some(known => known.spanId === spanId && known.rule === rule)) return
    candidates.push({ spanId, rule, confidence, why })
  }

  /** What weaker rules would have said of who called, and which requests were open besides. */
  function explain(exchange: Exchange): void {
    const { head, client } = exchange
    const chosen = parents.get(head)
    const chosenId = chosen && ('span' in chosen.parent ? chosen.parent.span.spanId : chosen.parent.spanId)
    const others = [byHeader(exchange), byRequestId(exchange), bySameExchange(exchange), byThread(exchange)]
    for (const link of others) {
      if (!link || !chosen || link.rule === chosen.rule || link.confidence < minConfidence) continue
      reject(head, link, `${chosen.rule} is surer`)
    }
    if (chosen?.rule === 'statistics') {
      for (const { server, confidence } of client ? (rules.statistics.causeOf(client)?.others ?? []) : []) {
        const parent = entries.get(server) ?? server
        reject(head, { parent, rule: 'statistics', confidence, evidence: '' }, 'less likely by its delays')
      }
      return
    }
    const open = client ? rules.openRequests(client) : []
    for (const request of open.slice(0, mostRejected + 1)) {
      const parent = entries.get(request) ?? request
      if (parent.span.spanId === chosenId || request.span.spanId === chosenId) continue
      const confidence = Math.round(100 / open.length) / 100
      const why = chosen ? `was open, too; ${chosen.rule} is surer` : `one of ${open.length} that were open`
      reject(head, { parent, rule: 'process', confidence, evidence: '' }, why)
    }
  }

  /** A later version of a span that has left stays where that one was. */
  function stayWhereItLeft(held: Held): boolean {
    const left = memory.left(held)
    if (!left) return false
    if (left.link) parents.set(held, left.link)
    return true
  }

  function linkApp(app: AppSpan): void {
    if (stayWhereItLeft(app)) return
    const into = rules.messaging.deliveryInto(app) ?? rules.header.exchangeInto(app)
    if (into && component.exchanges.has(into)) {
      const { server, tail } = into
      if (server && !into.isSent) {
        partners.set(server, app)
        entries.set(server, app)
      }
      propose(app, {
        parent: tail,
        rule: 'header',
        confidence: 1,
        evidence: `parent id in ${nameOf(into, app.parentKey)}`,
      })
      return
    }
    const left = app.side === 'client' || app.parentKey === '' ? undefined : memory.tail(app.parentKey)
    if (left && propose(app, late(left))) return
    const same = rules.sameExchange.sightOf(app)
    if (same?.sight.exchange && component.exchanges.has(same.sight.exchange)) {
      partners.set(same.sight, app)
      if (app.side === 'client') return
      entries.set(same.sight, app)
      const { headers } = same.sight.exchange
      // A gateway that sends the same header to several: the port tells by which of them this span was reached.
      const isNamed = app.parentKey === '' || headers.some(({ key }) => key === app.parentKey)
      if (!isNamed && !hintCaller(app, same.sight.exchange)) return
      const { confidence, evidence } = same
      propose(app, { parent: same.sight, rule: 'same_exchange', confidence, evidence })
    }
  }

  /** The callee knows its caller, but no header was seen on the wire (cut, encrypted): then it called this exchange. */
  function hintCaller(app: AppSpan, exchange: Exchange): boolean {
    const caller = rules.appByKey(app.parentKey)
    if (!caller || !component.apps.has(caller) || caller.side !== 'client' || exchange.headers.length > 0)
      return false
    hints.set(exchange, caller)
    return true
  }

  function linkExchange(exchange: Exchange): void {
    const { path, head } = exchange
    for (let at = 1; at < path.length; at++) {
      if (stayWhereItLeft(path[at]!)) continue
      propose(path[at]!, {
        parent: path[at - 1]!,
        rule: ruleOfKey(exchange),
        confidence: 1,
        evidence: exchange.key,
      })
    }
    if (!stayWhereItLeft(head)) {
      const caller = callerOf(exchange)
      if (caller) propose(head, caller)
    }
    const written = rules.header.callerOf(exchange)
    if (written?.kind === 'span' && exchange.client) partners.set(exchange.client, written.app)
  }

  function callerOf(exchange: Exchange): Link | undefined {
    return (
      byHeader(exchange) ??
      byMessage(exchange) ??
      byHint(exchange) ??
      byRequestId(exchange) ??
      bySameExchange(exchange) ??
      byThread(exchange) ??
      byMemory(exchange) ??
      byStatistics(exchange)
    )
  }

  function byHeader(exchange: Exchange): Link | undefined {
    const caller = rules.header.callerOf(exchange)
    if (!caller) return undefined
    const { header } = caller
    const common = {
      rule: 'header',
      confidence: 1,
      evidence: `${header.name} ${header.key.split('|').at(-1)}`,
    }
    if (caller.kind === 'span') return { parent: caller.app, ...common }
    if (caller.kind === 'exchange')
      return { parent: caller.exchange.tail, ...common, evidence: `${header.name} passed on` }
    if (header.spanId === '' || byRequestId(exchange) || byMemory(exchange)) return undefined
    return {
      parent: { spanId: header.spanId, traceId: header.traceId },
      ...common,
      evidence: `sampled ${header.name}`,
    }
  }

  function byMessage(exchange: Exchange): Link | undefined {
    const sender = rules.messaging.senderOf(exchange)
    if (!sender) return undefined
    const parent = sender.kind === 'span' ? sender.app : sender.exchange.tail
    return { parent, rule: 'message', confidence: 1, evidence: sender.evidence }
  }

  function byHint(exchange: Exchange): Link | undefined {
    const app = hints.get(exchange)
    if (!app) return undefined
    return {
      parent: app,
      rule: 'same_exchange',
      confidence: 0.9,
      evidence: 'the span served names it as its parent',
    }
  }

  function byRequestId(exchange: Exchange): Link | undefined {
    const found = rules.requestId.callerOf(exchange)
    if (!found) return undefined
    const { outer, ...rest } = found
    return { parent: outer.tail, ...rest }
  }

  function bySameExchange(exchange: Exchange): Link | undefined {
    const { client } = exchange
    const found = client && rules.sameExchange.appOf(client)
    if (!found) return undefined
    partners.set(client, found.app)
    return {
      parent: found.app,
      rule: 'same_exchange',
      confidence: found.confidence,
      evidence: found.evidence,
    }
  }

  /** Under the APP span that stands for the request, where there is one; an inner one could only be guessed. */
  function byThread(exchange: Exchange): Link | undefined {
    const link = exchange.client && rules.thread(exchange.client)
    if (!link) return undefined
    const { server, ...rest } = link
    return { parent: entries.get(server) ?? server, ...rest }
  }

  function byStatistics({ client }: Exchange): Link | undefined {
    const guess = client && rules.statistics.causeOf(client)
    if (!guess) return undefined
    const { server, confidence, others } = guess
    return {
      parent: entries.get(server) ?? server,
      rule: 'statistics',
      confidence,
      evidence: `delays; ${others.length} other${others.length === 1 ? '' : 's'} possible`,
    }
  }

  /** What it belongs to has left already. */
  function byMemory(exchange: Exchange): Link | undefined {
    const same = memory.tail(exchange.key)
    if (same) return late(same)
    for (const { key } of exchange.headers) {
      const left = rules.header.nested(key) && memory.span(key)
      if (left) return late(left)
    }
    return undefined
  }

  function closesRing(child: Held, parent: Link['parent']): boolean {
    let above: Link['parent'] | undefined = parent
    while (above && 'span' in above) {
      if (above === child) return true
      above = parents.get(above)?.parent
    }
    return false
  }
}

const mostRejected = 3

function late(left: Remembered): Link {
  return { parent: left, rule: 'late', confidence: 1, evidence: 'joined what had left before' }
}

function ruleOfKey(exchange: Exchange): string {
  return /^\d+\|/.test(exchange.key) ? 'tcp_seq' : 'message_id'
}

function nameOf(exchange: Exchange, key: string): string {
  const contexts = [...exchange.headers, ...exchange.received]
  return contexts.find(header => header.key === key)?.name ?? 'header'
}
