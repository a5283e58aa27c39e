import { usualTextAt } from '../../model/attributes.ts'
import type { Signal } from '../../model/batch.ts'
import { Writer } from '../../model/wire.ts'
import {
  checkKeyValue,
  checkMessage,
  fail,
  hasStringIndex,
  items,
  longTag,
  passField,
  passLongTag,
  problem,
  resetItems,
  stopOf,
  valueBegin,
} from './check-message.ts'
import { createRefusals, noRefusals, type RefusalList, type Refusals } from './refusals.ts'
import { action, planOf, requestPlans } from './plan.ts'
import { signalFacts } from './signals.ts'

/** A request that has been seen to its leaves. */
export type Checked =
  | {
      readonly isUsable: true
      /** The request as it came; if something in it was broken, rewritten without that. */
      readonly bytes: Uint8Array
      /** Items that are left. */
      readonly items: number
      readonly refusals: Refusals
      /** An attribute refers to the string table of profiles: no fault, but without meaning in other signals. */
      readonly hasStringIndex: boolean
    }
  | {
      readonly isUsable: false
      readonly message: string
      /** Items that could be counted in it before it broke. */
      readonly items: number
    }

/**
 * Checks an Export…ServiceRequest once, to the leaves (design §4). Of traces, a span that is broken or has no valid ids is taken
 * out and counted where its neighbours are intact; other signals pass or fail as a whole.
 */
export function checkRequest(signal: Signal, bytes: Uint8Array): Checked {
  resetItems()
  if (signal === 'traces') return checkTraces(bytes)
  if (checkMessage(requestPlans[signal], bytes, 0, bytes.length, 0)) {
    return { isUsable: true, bytes, items, refusals: noRefusals, hasStringIndex }
  }
  return { isUsable: false, message: `not a valid ${signalFacts[signal].request}: ${problem}`, items }
}

const resourceSpans = planOf('ResourceSpans')
const scopeSpans = planOf('ScopeSpans')
const traceRequest = planOf('ExportTraceServiceRequest')
const spanPlan = planOf('Span')
const resourcePlan = planOf('Resource')
const scopePlan = planOf('InstrumentationScope')

interface TraceCheck {
  readonly bytes: Uint8Array
  /** Spans without a fault. */
  good: number
  /** What is broken; undefined as long as nothing is. */
  faults: Faults | undefined
}

interface Faults {
  /** Where the tags of the fields to be taken out stand: spans, or the envelopes of a broken resource or scope. */
  readonly taken: Set<number>
  readonly refusals: RefusalList
}

function checkTraces(bytes: Uint8Array): Checked {
  const check: TraceCheck = { bytes, good: 0, faults: undefined }
  const isFramed = eachField(traceRequest, bytes, 0, bytes.length, 0, (at, stop, tagAt) =>
    checkResourceSpans(check, at, stop, tagAt),
  )
  const { good, faults } = check
  const refusals = faults ? faults.refusals : noRefusals
  if (!isFramed) {
    const message = `not a valid ExportTraceServiceRequest: ${problem}`
    return { isUsable: false, message, items: good + refusals.items }
  }
  if (!faults) return { isUsable: true, bytes, items: good, refusals, hasStringIndex }
  if (good === 0) return { isUsable: false, message: refusals.describe('spans'), items: refusals.items }
  return { isUsable: true, bytes: rewritten(bytes, faults.taken), items: good, refusals, hasStringIndex }
}

function checkResourceSpans(check: TraceCheck, from: number, end: number, tagAt: number): boolean {
  const before = check.good
  let resourceProblem = ''
  const isFramed = eachField(resourceSpans, check.bytes, from, end, 1, (at, stop, innerTagAt, number) => {
    if (number === 2) return checkScopeSpans(check, at, stop, innerTagAt)
    if (!checkMessage(resourcePlan, check.bytes, at, stop, 2)) resourceProblem = `broken resource: ${problem}`
    return true
  })
  if (resourceProblem !== '') takeAll(check, before, tagAt, resourceProblem)
  return isFramed
}

function checkScopeSpans(check: TraceCheck, from: number, end: number, tagAt: number): boolean {
  const before = check.good
  let scopeProblem = ''
  const isFramed = eachField(scopeSpans, check.bytes, from, end, 2, (at, stop, innerTagAt, number) => {
    if (number === 1) {
      if (!checkMessage(scopePlan, check.bytes, at, stop, 3)) scopeProblem = `broken scope: ${problem}`
    } else if (checkSpan(check.bytes, at, stop)) check.good++
    else takeOut(check, innerTagAt, 1)
    return true
  })
  if (scopeProblem !== '') takeAll(check, before, tagAt, scopeProblem)
  return isFramed
}

/** Refuses all spans counted since `before`, with the envelope whose tag stands at `tagAt`. */
function takeAll(check: TraceCheck, before: number, tagAt: number, reason: string): void {
  takeOut(check, tagAt, check.good - before, reason)
  check.good = before
}

function takeOut(check: TraceCheck, tagAt: number, spans: number, reason = problem): void {
  check.faults ??= { taken: new Set(), refusals: createRefusals() }
  check.faults.taken.add(tagAt)
  check.faults.refusals.add(spans, reason)
}

/**
 * Calls `visit` for every message field of an envelope, and checks all its other fields. False: it is broken itself. Resource,
 * ResourceSpans, ScopeSpans and Span have numbers 1 and 2, so their tags are one byte long unless written at length.
 */
function eachField(
  plan: typeof resourceSpans,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
  visit: (at: number, stop: number, tagAt: number, number: number) => boolean,
): boolean {
  while (at < end) {
    const tagAt = at
    at = passLongTag(bytes, at, end)
    if (at < 0) return false
    const tag = longTag()
    const what = tag < 256 ? plan.actions[tag]! : action.unknown
    if (what === action.message) {
      const stop = stopOf(bytes, at, end)
      if (stop < 0 || !visit(valueBegin(), stop, tagAt, tag >>> 3)) return false
      at = stop
    } else {
      at = passField(plan, what, tag, bytes, at, end, depth)
      if (at < 0) return false
    }
  }
  return true
}

function checkSpan(bytes: Uint8Array, at: number, end: number): boolean {
  let traceIdAt = -1
  let spanIdAt = -1
  // Of a field that comes twice the last one counts.
  let traceIdSize = 0
  let spanIdSize = 0
  let parentIdSize = 0
  while (at < end) {
    let tag = bytes[at]!
    if (tag < 0x80) at++
    else {
      at = passLongTag(bytes, at, end)
      if (at < 0) return false
      tag = longTag()
    }
    switch (tag) {
      case 10:
      case 18:
      case 34: {
        const stop = stopOf(bytes, at, end)
        if (stop < 0) return false
        const from = valueBegin()
        if (tag === 10) {
          traceIdAt = from
          traceIdSize = stop - from
        } else if (tag === 18) {
          spanIdAt = from
          spanIdSize = stop - from
        } else parentIdSize = stop - from
        at = stop
        break
      }
      case 74: {
        const stop = stopOf(bytes, at, end)
        if (stop < 0) return false
        if (usualTextAt(bytes, at) === 0 && !checkKeyValue(bytes, valueBegin(), stop, 4)) return false
        at = stop
        break
      }
      default:
        at = passField(spanPlan, tag < 256 ? spanPlan.actions[tag]! : action.unknown, tag, bytes, at, end, 3)
        if (at < 0) return false
    }
  }
  if (traceIdSize === 0) return fail('trace_id is missing or all zero')
  if (traceIdSize !== 16) return fail(`trace_id has ${traceIdSize} bytes, not 16`)
  if (spanIdSize === 0) return fail('span_id is missing or all zero')
  if (spanIdSize !== 8) return fail(`span_id has ${spanIdSize} bytes, not 8`)
  if (parentIdSize !== 8 && parentIdSize !== 0) return fail(`parent_span_id has ${parentIdSize} bytes, not 8`)
  if (isZero(bytes, traceIdAt, 16)) return fail('trace_id is missing or all zero')
  return isZero(bytes, spanIdAt, 8) ? fail('span_id is missing or all zero') : true
}

function isZero(bytes: Uint8Array, at: number, size: number): boolean {
  for (let index = at; index < at + size; index++) if (bytes[index] !== 0) return false
  return true
}

/** The request without the fields whose tags stand at the places in `taken`. */
function rewritten(bytes: Uint8Array, taken: ReadonlySet<number>): Uint8Array {
  const writer = new Writer(bytes.length + 16)
  copyEnvelope(traceRequest)(0, bytes.length)
  return writer.finish()

  function copyEnvelope(plan: typeof resourceSpans): (from: number, end: number) => void {
    return (from, end) => {
      let copied = from
      eachField(plan, bytes, from, end, 0, (at, stop, tagAt, number) => {
        const inner = plan.byNumber[number]!.message!
        const isTaken = taken.has(tagAt)
        if (!isTaken && (!plan.leadsToItems.has(number) || inner.isItem)) return true
        writer.range(bytes, copied, tagAt)
        copied = stop
        if (!isTaken) writer.message(number, () => copyEnvelope(inner)(at, stop))
        return true
      })
      writer.range(bytes, copied, end)
    }
  }
}
