import { names } from '../../model/attribute-names.ts'
import type { AttributeValue } from '../../model/attributes.ts'
import { Batch, groupSpans } from '../../model/batch.ts'
import type { Envelope } from '../../model/resource.ts'
import { type Span, type SpanChange, spanKind } from '../../model/span.ts'
import type { Component } from './component.ts'
import type { AppSpan, Held, SightSpan } from './held.ts'
import type { Link, LinkContext, Linked, Rejected } from './links.ts'
import { messageLinks } from './rules/messaging.ts'
import { createTimeCheck } from './time-check.ts'
import { assignTraceIds } from './trace-ids.ts'

export interface ReleaseOptions {
  readonly mode: 'attach' | 'rewrite'
  readonly unifyTraceIds: boolean
  readonly forwardApp: boolean
}

export interface Released {
  readonly batch: Batch
  readonly members: ReadonlySet<Held>
  /** APP spans kept back because of `forward_app: false`. */
  readonly withheld: readonly Span[]
  /** Links by rule, for the metrics. */
  readonly rules: ReadonlyMap<string, number>
}

/** Gives a component its trace ids and writes the spans that leave, under the parents they were given. */
export function releaseComponent(
  component: Component,
  linked: Linked,
  { context, options }: { context: LinkContext; options: ReleaseOptions },
): Released {
  const members = membersOf(component)
  const { memory, rules } = context
  const traceIds = assignTraceIds(members, linked, { memory, rules, unify: options.unifyTraceIds })
  const services = servicesOf(component, linked)
  const times = createTimeCheck(linked, context.rules)
  const out: { resource: Envelope; scope: Envelope; span: Span }[] = []
  const withheld: Span[] = []
  const counts = new Map<string, number>()
  for (const member of members) {
    member.isReleased = true
    member.leftInTrace = traceIds.get(member) ?? member.span.traceId
  }
  for (const member of members) {
    const link = linked.parents.get(member)
    if (link) counts.set(link.rule, (counts.get(link.rule) ?? 0) + 1)
    if (member.layer === 'app' && !options.forwardApp) {
      withheld.push(member.span)
      continue
    }
    let change =
      member.layer === 'app' ? changeOfApp(member, link, options) : changeOfSight(member, link, linked)
    if (member.layer !== 'app' || options.mode === 'rewrite') {
      const impossible = times.impossibleFor(member, link)
      if (impossible !== '') change = withAttribute(change, names.clockImpossible, impossible)
    }
    const rejected = linked.rejected.get(member)
    if (rejected) change = withAttribute(change, names.linkRejected, rejected.map(textOf))
    const span = applyChange(member, change, member.leftInTrace)
    const service = services.get(member)
    out.push({
      resource: service ? renamed(member.resource, service) : member.resource,
      scope: member.scope,
      span,
    })
  }
  context.memory.remember(component, linked)
  return { batch: Batch.ofGroups(groupSpans(out)), members, withheld, rules: counts }
}

function withAttribute(change: SpanChange | undefined, name: string, value: AttributeValue): SpanChange {
  return { ...change, attributes: { ...change?.attributes, [name]: value } }
}

function textOf({ spanId, rule, confidence, why }: Rejected): string {
  return `${spanId} by ${rule} ${confidence}: ${why}`
}

function membersOf({ apps, exchanges }: Component): ReadonlySet<Held> {
  const members = new Set<Held>(apps)
  for (const { path } of exchanges) for (const sight of path) members.add(sight)
  return members
}

/** `attach` leaves APP spans alone; `rewrite` gives them the sight above them as a parent, and keeps what they had. */
function changeOfApp(app: AppSpan, link: Link | undefined, { mode }: ReleaseOptions): SpanChange | undefined {
  if (mode === 'attach' || !link) return restored(app)
  if (!isSameTrace(app, link)) {
    const own = linkTo(link)
    const isThere = app.span.links.some(
      ({ traceId, spanId }) => traceId === own.traceId && spanId === own.spanId,
    )
    return isThere ? restored(app) : { ...restored(app), addLinks: [own] }
  }
  return {
    parentSpanId: idOf(link.parent),
    attributes: { ...linkAttributes(link), [names.originalParentSpanId]: app.originalParentSpanId },
  }
}

/** As it was before another Fullspan put sights above it. */
function restored({ span, originalParentSpanId }: AppSpan): SpanChange | undefined {
  if (originalParentSpanId === span.parentSpanId) return undefined
  if (span.attribute(names.originalParentSpanId) === undefined) return undefined
  return {
    parentSpanId: originalParentSpanId,
    attributes: { ...noLink, [names.originalParentSpanId]: undefined },
  }
}

/** An OpenTelemetry id is kept, so a span under one of another trace can only point there. */
function isSameTrace(app: AppSpan, { parent }: Link): boolean {
  return 'span' in parent ? parent.leftInTrace === '' || parent.leftInTrace === app.leftInTrace : true
}

function linkTo({ parent, ...link }: Link) {
  const traceId = 'span' in parent ? parent.leftInTrace || parent.span.traceId : parent.traceId
  return { traceId, spanId: idOf(parent), attributes: linkAttributes({ parent, ...link }) }
}

/** Next to an APP span of the same exchange a SYS span is INTERNAL, so that nobody's metrics count it twice. */
function changeOfSight(sight: SightSpan, link: Link | undefined, { partners }: Linked): SpanChange {
  const partner = partners.get(sight)
  const side = sight.point === 'c-p' ? spanKind.client : spanKind.server
  const addLinks = messageLinks(sight)
  const attributes: Record<string, AttributeValue | undefined> = {
    [names.linkRule]: link?.rule,
    [names.linkConfidence]: link?.confidence,
    [names.linkEvidence]: link?.evidence,
    [names.wraps]: partner?.span.spanId,
  }
  const clock = sight.clockSaid ?? sight.clock
  if (sight.clockSaid || Math.abs(clock.offsetNs) > Math.max(leastSkewNs, clock.uncertaintyNs)) {
    attributes[names.clockOffset] = Math.round(clock.offsetNs)
    attributes[names.clockUncertainty] = Math.round(clock.uncertaintyNs)
  }
  return {
    traceId: sight.leftInTrace === sight.span.traceId ? undefined : sight.leftInTrace,
    parentSpanId: link ? idOf(link.parent) : '',
    kind: sight.layer === 'net' || partner ? spanKind.internal : side,
    attributes,
    addLinks,
  }
}

/** Clocks that differ by less are said to be equal: nobody sees it in a trace. */
const leastSkewNs = 1e6

function applyChange(member: Held, change: SpanChange | undefined, traceId: string): Span {
  const { span } = member
  const isMoved = traceId !== span.traceId
  if (!change && !isMoved) return span
  if (member.layer !== 'app') return span.with(change ?? {})
  if (member.originalTraceId === traceId) {
    return span.with(isMoved ? { ...change, traceId } : (change ?? {}))
  }
  // Written anew where a Fullspan before us has moved it: so it stays behind the others, and nothing changes.
  const attributes = { ...change?.attributes, [names.originalTraceId]: member.originalTraceId }
  return span.with({ ...change, ...(isMoved ? { traceId } : {}), attributes })
}

function linkAttributes({ rule, confidence, evidence }: Link): Record<string, AttributeValue> {
  return { [names.linkRule]: rule, [names.linkConfidence]: confidence, [names.linkEvidence]: evidence }
}

const noLink: Readonly<Record<string, undefined>> = {
  [names.linkRule]: undefined,
  [names.linkConfidence]: undefined,
  [names.linkEvidence]: undefined,
}

function idOf(parent: Link['parent']): string {
  return 'span' in parent ? parent.span.spanId : parent.spanId
}

/**
 * SYS spans take the service name of the APP resource that their process was bound to, and the sights at its own interface
 * take it with them.
 */
function servicesOf({ exchanges }: Component, { partners }: Linked): ReadonlyMap<Held, string> {
  const byProcess = new Map<string, string>()
  for (const [sight, app] of partners) byProcess.set(sight.process, app.resource.text(names.serviceName))
  const services = new Map<Held, string>()
  for (const { path, client, server } of exchanges) {
    const caller = client && (byProcess.get(client.process) ?? client.resource.text(names.serviceName))
    const callee = server && (byProcess.get(server.process) ?? server.resource.text(names.serviceName))
    for (const sight of path) {
      const service =
        sight.point === 'c-p' || sight.point === 'c'
          ? caller
          : sight.point === 's-p' || sight.point === 's'
            ? callee
            : undefined
      if (service && service !== sight.resource.text(names.serviceName)) services.set(sight, service)
    }
  }
  return services
}

const renamedResources = new WeakMap<Envelope, Map<string, Envelope>>()

/** The same resource under another service name: one object each, because batches group by identity. */
function renamed(resource: Envelope, service: string): Envelope {
  let known = renamedResources.get(resource)
  if (!known) {
    known = new Map()
    renamedResources.set(resource, known)
  }
  let envelope = known.get(service)
  if (!envelope) {
    envelope = resource.with({ [names.serviceName]: service })
    known.set(service, envelope)
  }
  return envelope
}
