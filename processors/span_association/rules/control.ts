import type { SightSpan } from '../held.ts'
import { socketOf } from '../hints.ts'
import type { IntervalList } from '../interval-list.ts'
import type { SpanIndex } from '../span-index.ts'
import { coroutineRule } from './coroutine.ts'
import { memoised } from './memoised.ts'
import { callHinted, runtimeHintRule } from './runtime-hint.ts'
import { threadRule } from './thread.ts'

/** An outgoing call and the request that its process made it for. */
export interface ControlLink {
  readonly server: SightSpan
  readonly rule: 'runtime_hint' | 'coroutine' | 'thread' | 'event_loop' | 'process'
  readonly confidence: number
  readonly evidence: string
}

/** `none`: it is certain that no request was behind it. */
export type ControlVerdict = ControlLink | 'none' | undefined

type RuleOfCall = (call: SightSpan) => ControlVerdict

export interface ControlRule {
  /** For which request the call was made. */
  (call: SightSpan): ControlLink | undefined
  /** Whether it is certain that no request was behind it. */
  isOfNoRequest(call: SightSpan): boolean
  /** The calls that were made for a request: looked for only where a rule could find one. */
  callsOf(server: SightSpan): ReadonlySet<SightSpan>
}

/**
 * For which request did a process make a call? The surest first: a hint tells what the runtime itself knows (rule 4), a coroutine
 * serves one request, a thread serves one at a time, an event loop or a whole process may have had one only (rule 3).
 */
export function controlRule(index: SpanIndex): ControlRule {
  const rules: readonly RuleOfCall[] = [runtimeHintRule(index), coroutineRule(index), threadRule(index)]

  const judge = memoised(index, findVerdict)

  function findVerdict(call: SightSpan): ControlVerdict {
    if (call.point !== 'c-p') return undefined
    for (const rule of rules) {
      const verdict = rule(call)
      if (verdict) return verdict
    }
    return undefined
  }

  function requestOf(call: SightSpan): ControlLink | undefined {
    const verdict = judge(call)
    return verdict === 'none' ? undefined : verdict
  }

  function callsOf(server: SightSpan): ReadonlySet<SightSpan> {
    const history = index.processes.get(server.process)
    const found = new Set<SightSpan>()
    if (!history) return found
    const consider = (calls: readonly SightSpan[] | undefined) => {
      for (const call of calls ?? []) {
        if (!call.isReleased && requestOf(call)?.server === server) found.add(call)
      }
    }
    const { start, end, thread = -1, coroutine = -1 } = server
    consider(history.calledByCoroutine.get(coroutine)?.overlapping(start, end))
    const ofThread = history.threads.get(thread)
    if (!ofThread?.isInterleaving || beganAlone(server, ofThread.served)) {
      consider(history.calledBy.get(thread)?.overlapping(start, end))
    }
    if (beganAlone(server, history.served)) {
      consider(history.called.overlapping(start, end).filter(call => call.thread !== server.thread))
    }
    if (index.hints.isEmpty()) return found
    for (const hint of index.hints.ofRequest(socketOf(server))) consider(callHinted(hint, history))
    return found
  }

  return Object.assign(requestOf, { callsOf, isOfNoRequest: (call: SightSpan) => judge(call) === 'none' })
}

/** Whether no other was open when it began: else no call can be given to it because it was the only one. */
function beganAlone(server: SightSpan, served: IntervalList<SightSpan>): boolean {
  return !served.someOverlapping(server.start, server.start, other => other !== server)
}

/** The one request that was open from before the call until after it. */
export function onlyOpen(call: SightSpan, served: IntervalList<SightSpan>): SightSpan | undefined {
  let only: SightSpan | undefined
  const isAmbiguous = served.someOverlapping(call.start, call.end, request => {
    if (request.start > call.start || call.end > request.end) return false
    const isSecond = only !== undefined
    only = request
    return isSecond
  })
  return isAmbiguous ? undefined : only
}
