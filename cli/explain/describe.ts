import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import type { ExportedSpan, ExportedTrace } from './read-traces.ts'

/** A trace as a tree: a line a span, and under it, in words, why its parent is its parent. */
export function describeTrace({ traceId, spans }: ExportedTrace): string {
  const sorted = [...spans].sort(byStart)
  const ids = new Set(sorted.map(({ span }) => span.spanId))
  const children = new Map<string, ExportedSpan[]>()
  const roots: ExportedSpan[] = []
  const missing = new Map<string, number>()
  for (const each of sorted) {
    const { parentSpanId } = each.span
    const siblings = children.get(parentSpanId)
    if (siblings) siblings.push(each)
    else if (ids.has(parentSpanId)) children.set(parentSpanId, [each])
    else {
      roots.push(each)
      if (parentSpanId !== '') missing.set(parentSpanId, (missing.get(parentSpanId) ?? 0) + 1)
    }
  }
  const firstNs = sorted[0]?.span.startTimeUnixNano ?? 0n
  const lines = [`trace ${traceId}: ${sorted.length} spans, ${roots.length} without a parent here`, '']
  const isShown = new Set<ExportedSpan>()
  const stack = roots.map(root => ({ each: root, depth: 0 })).reverse()
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { each, depth } = next
    const { spanId } = each.span
    if (isShown.has(each)) continue
    isShown.add(each)
    const indent = '  '.repeat(Math.min(depth, deepestShown))
    const level = depth > deepestShown ? `(level ${depth}) ` : ''
    lines.push(`${indent}${level}${headline(each, firstNs)}`)
    for (const reason of reasonsOf(each.span, ids)) lines.push(`${indent}    ${reason}`)
    for (const child of [...(children.get(spanId) ?? [])].reverse()) {
      stack.push({ each: child, depth: depth + 1 })
    }
  }
  for (const [id, count] of missing)
    lines.push(
      '',
      `missing: ${id}, which ${count === 1 ? 'one span names' : `${count} spans name`} as its parent`,
    )
  const inRings = sorted.filter(each => !isShown.has(each))
  for (const { span } of inRings) lines.push('', `in a ring: ${span.spanId} under ${span.parentSpanId}`)
  return `${lines.join('\n')}\n`
}

/** Deeper spans say how deep they are: indented by it, a chain of ten thousand would fill the memory with blanks. */
const deepestShown = 50

/** `sys c-p  GET /buy  storefront  +0.120 ms  3.400 ms  1f2e3d4c5b6a7988` */
function headline({ span, service }: ExportedSpan, firstNs: bigint): string {
  const layer = [span.text(names.layer) || 'app', span.text(names.observationPoint)].filter(Boolean).join(' ')
  const start = milliseconds(span.startTimeUnixNano - firstNs)
  const duration = milliseconds(span.endTimeUnixNano - span.startTimeUnixNano)
  return [layer, span.name, service, `+${start}`, duration, span.spanId].join('  ')
}

function reasonsOf(span: Span, ids: ReadonlySet<string>): string[] {
  const reasons = [reasonOfParent(span, ids)]
  const impossible = span.text(names.clockImpossible)
  if (impossible !== '') reasons.push(`times are odd: ${impossible.replaceAll('_', ' ')}`)
  const offset = span.number(names.clockOffset)
  if (offset !== undefined) {
    const within = span.number(names.clockUncertainty) ?? 0
    reasons.push(
      `its host's clock is ${milliseconds(BigInt(offset))} ahead (± ${milliseconds(BigInt(within))})`,
    )
  }
  const wraps = span.text(names.wraps)
  if (wraps !== '') reasons.push(`the same exchange as ${wraps}`)
  for (const link of span.links) reasons.push(`points to ${link.spanId} of trace ${link.traceId}`)
  const rejected = span.attribute(names.linkRejected)
  if (Array.isArray(rejected)) for (const each of rejected) reasons.push(`not ${String(each)}`)
  return reasons
}

function reasonOfParent(span: Span, ids: ReadonlySet<string>): string {
  const rule = span.text(names.linkRule)
  const { parentSpanId } = span
  const where = ids.has(parentSpanId) ? '' : `, which is not here: ${parentSpanId}`
  if (rule !== '') {
    const confidence = span.number(names.linkConfidence) ?? 0
    const evidence = span.text(names.linkEvidence)
    return `parent by ${rule}, confidence ${confidence}: ${evidence}${where}`
  }
  if (parentSpanId !== '') return `parent as its SDK says${where}`
  const isApp = span.text(names.layer) === ''
  return isApp
    ? 'no parent: its SDK says that it is a root'
    : 'no parent: no rule found one that is sure enough'
}

function milliseconds(ns: bigint): string {
  return `${(Number(ns) / 1e6).toFixed(3)} ms`
}

function byStart(a: ExportedSpan, b: ExportedSpan): number {
  const difference = a.span.startTimeUnixNano - b.span.startTimeUnixNano
  return difference === 0n ? 0 : difference < 0n ? -1 : 1
}
