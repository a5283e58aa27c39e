import type { SightSpan } from '../held.ts'
import type { IntervalList } from '../interval-list.ts'
import type { SpanIndex } from '../span-index.ts'
import { type ControlLink, onlyOpen } from './control.ts'

/**
 * Rule 3b: an outgoing call belongs to the one request that its thread was serving.
 *
 * Fires when the thread that sent the call read exactly one request that was open from before the call until after it; or,
 * where that thread serves nothing itself (a resolver thread, a pool), when exactly one request was open in the whole
 * process. Right for threads that serve one request at a time. Event loops serve many: there the request must have been alone on
 * the loop without a break from its start to the call's end, none other may have ended within 5 ms before the call (work that goes on
 * after a response), and nothing may have been lost in between. A thread is a loop when two of its requests have overlapped, when
 * capture saw it go to other connections before it had answered or been answered, or when it is its process's main thread.
 * What could fool it: work that a request left behind for later (timers), and requests that never became spans.
 */
export function threadRule(index: SpanIndex): (call: SightSpan) => ControlLink | undefined {
  return call => {
    const history = index.processes.get(call.process)
    if (!history || call.isTouchedByLoss || call.thread === undefined) return undefined
    const thread = history.threads.get(call.thread)
    if (!thread) return aloneSinceStart(call, history.served, 'process')
    const isLoop = thread.isInterleaving || call.isInterleaved || isMainThread(call, call.thread)
    return isLoop ? aloneSinceStart(call, thread.served, 'event_loop') : onWorker(call, thread.served)
  }
}

function onWorker(call: SightSpan, served: IntervalList<SightSpan>): ControlLink | undefined {
  const server = onlyOpen(call, served)
  if (!server) return undefined
  return { server, rule: 'thread', confidence: 0.95, evidence: 'only request of its thread' }
}

/** The one request open during the call, if no other was open at any time from its start to the call's end. */
function aloneSinceStart(
  call: SightSpan,
  served: IntervalList<SightSpan>,
  rule: 'event_loop' | 'process',
): ControlLink | undefined {
  const server = onlyOpen(call, served)
  if (!server || server.isTouchedByLoss) return undefined
  const from = Math.min(server.start, call.start - afterworkNs)
  if (served.someOverlapping(from, call.end, other => other !== server)) return undefined
  return { server, rule, confidence: 0.9, evidence: `only request of its ${rule.replace('_', ' ')}` }
}

/**
 * The main thread is taken for an event loop before two of its requests have overlapped: it is where Node, nginx and Redis run
 * theirs, and a prefork worker loses nothing by it but calls within 5 ms after another request.
 */
function isMainThread({ process }: SightSpan, tid: number): boolean {
  return process.split('/')[1] === String(tid)
}

const afterworkNs = 5e6
