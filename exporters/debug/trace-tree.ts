import { names } from '../../model/attribute-names.ts'
import type { Batch } from '../../model/batch.ts'
import type { Envelope } from '../../model/resource.ts'
import { type Span, spanKind, statusCode } from '../../model/span.ts'

/** One line of a printed trace. `depth` counts from its root. */
export interface TreeLine {
  readonly depth: number
  readonly layer: 'APP' | 'SYS' | 'NET'
  readonly point: string
  /** Service; for NET the interface. */
  readonly place: string
  readonly name: string
  /** ns */
  readonly duration: bigint
  readonly rule: string
  readonly confidence: number
  readonly isError: boolean
  readonly incomplete: string
}

export interface TraceTree {
  readonly traceId: string
  readonly lines: readonly TreeLine[]
  /** ns from the first start to the last end */
  readonly duration: bigint
}

interface Placed {
  readonly span: Span
  readonly resource: Envelope
}

/** The traces of a batch as trees, in the order of their roots' start; children in the order of theirs. */
export function treesOf(batch: Batch): TraceTree[] {
  const traces = new Map<string, Placed[]>()
  for (const { resource, spans } of batch.groups) {
    for (const span of spans) {
      const known = traces.get(span.traceId)
      if (known) known.push({ span, resource })
      else traces.set(span.traceId, [{ span, resource }])
    }
  }
  return [...traces].map(([traceId, placed]) => treeOf(traceId, placed))
}

function treeOf(traceId: string, placed: Placed[]): TraceTree {
  placed.sort((a, b) => compare(a.span.startTimeUnixNano, b.span.startTimeUnixNano))
  const ids = new Set(placed.map(({ span }) => span.spanId))
  const children = new Map<string, Placed[]>()
  for (const each of placed) {
    const { parentSpanId, spanId } = each.span
    const parent = ids.has(parentSpanId) && parentSpanId !== spanId ? parentSpanId : ''
    const siblings = children.get(parent)
    if (siblings) siblings.push(each)
    else children.set(parent, [each])
  }
  const lines: TreeLine[] = []
  const stack = (children.get('') ?? []).map(root => ({ placed: root, depth: 0 })).reverse()
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { depth } = next
    lines.push(lineOf(next.placed, depth))
    const below = children.get(next.placed.span.spanId) ?? []
    for (let at = below.length - 1; at >= 0; at--) stack.push({ placed: below[at]!, depth: depth + 1 })
  }
  const ends = placed.map(({ span }) => span.endTimeUnixNano)
  const last = ends.reduce((a, b) => (a > b ? a : b), 0n)
  return { traceId, lines, duration: last - (placed[0]?.span.startTimeUnixNano ?? 0n) }
}

function lineOf({ span, resource }: Placed, depth: number): TreeLine {
  const layer = span.text(names.layer)
  const service = resource.text(names.serviceName)
  const interfaceName = span.text(names.interfaceName)
  return {
    depth,
    layer: layer === 'sys' ? 'SYS' : layer === 'net' ? 'NET' : 'APP',
    point: span.text(names.observationPoint) || pointOfApp(span.kind),
    place: layer === 'net' ? `${service} ${interfaceName}` : service,
    name: titleOf(span),
    duration: span.endTimeUnixNano - span.startTimeUnixNano,
    rule: span.text(names.linkRule),
    confidence: span.number(names.linkConfidence) ?? 1,
    isError: span.status.code === statusCode.error,
    incomplete: span.text(names.incomplete),
  }
}

/** DeepFlow's observation points of APP spans. */
function pointOfApp(kind: number): string {
  if (kind === spanKind.client || kind === spanKind.producer) return 'c-app'
  if (kind === spanKind.server || kind === spanKind.consumer) return 's-app'
  return 'app'
}

/** The name, and behind it what the conventions keep out of names because it has too many values. */
function titleOf(span: Span): string {
  const detail =
    span.text(names.urlPath) || span.text(names.dnsQuestionName) || span.text(names.dbQuerySummary)
  return detail === '' || span.name.includes(detail) ? span.name : `${span.name} ${detail}`
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
