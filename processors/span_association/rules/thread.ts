import { names } from '../../../model/attribute-names.ts'
import type { SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'

/**
 * Rule 3: an outgoing call belongs to the one request that its thread of control was serving.
 *
 * Fires when the thread that sent the call read exactly one request that was open from before the call until after it; or,
 * where that thread serves nothing itself (a resolver thread, a pool), when exactly one request was open in the whole
 * process. Right for threads that serve one request at a time. Event loops serve many: there the request must have been alone on
 * the loop without a break from its start to the call's end, none other may have ended within 5 ms before the call (work that goes on
 * after a response), and nothing may have been lost in between. What could fool it: work that a request left behind for
 * later (timers), and requests that never became spans.
 */
export interface ThreadLink {
  readonly server: SightSpan
  readonly rule: 'thread' | 'event_loop' | 'process'
  readonly confidence: number
  readonly evidence: string
}

export function threadRule(index: SpanIndex): (call: SightSpan) => ThreadLink | undefined {
  return call => {
    const history = index.processes.get(call.process)
    if (call.point !== 'c-p' || !history || isIncomplete(call)) return undefined
    const thread = call.span.number(names.keyRequestThread)
    if (thread === undefined) return undefined
    const onThread = history.served.filter(({ span }) => span.number(names.keyRequestThread) === thread)
    if (onThread.length === 0) return inProcess(call, history.served)
    return isEventLoop(onThread, thread, call) ? onEventLoop(call, onThread) : onWorker(call, onThread)
  }
}

function onWorker(call: SightSpan, served: readonly SightSpan[]): ThreadLink | undefined {
  const server = onlyOne(served.filter(request => isOpenDuring(request, call)))
  if (!server) return undefined
  return { server, rule: 'thread', confidence: 0.95, evidence: 'only request of its thread' }
}

function onEventLoop(call: SightSpan, served: readonly SightSpan[]): ThreadLink | undefined {
  const server = aloneSinceStart(call, served)
  if (!server) return undefined
  return { server, rule: 'event_loop', confidence: 0.9, evidence: 'only request of its event loop' }
}

function inProcess(call: SightSpan, served: readonly SightSpan[]): ThreadLink | undefined {
  const server = aloneSinceStart(call, served)
  if (!server) return undefined
  return { server, rule: 'process', confidence: 0.9, evidence: 'only request of its process' }
}

/** The one request open during the call, if no other was open at any time from its start to the call's end. */
function aloneSinceStart(call: SightSpan, served: readonly SightSpan[]): SightSpan | undefined {
  const server = onlyOne(served.filter(request => isOpenDuring(request, call)))
  if (!server || isIncomplete(server)) return undefined
  const isDisturbed = served.some(
    other =>
      other !== server &&
      other.start <= call.end &&
      (other.end >= server.start || other.end >= call.start - afterworkNs),
  )
  return isDisturbed ? undefined : server
}

function isOpenDuring(request: SightSpan, call: SightSpan): boolean {
  return request.start <= call.start && call.end <= request.end
}

/**
 * A loop interleaves requests on one thread. The main thread (tid = pid) is taken for one, too: it is where Node, nginx and
 * Redis run theirs, and a prefork worker loses nothing by it but calls within 5 ms after another request.
 */
function isEventLoop(served: readonly SightSpan[], thread: number, call: SightSpan): boolean {
  if (call.process.split('/')[1] === String(thread)) return true
  const sorted = [...served].sort((a, b) => (a.start < b.start ? -1 : 1))
  return sorted.some((request, at) => at > 0 && request.start < sorted[at - 1]!.end)
}

function isIncomplete({ span }: SightSpan): boolean {
  const reasons = span.text(names.incomplete)
  return reasons.includes('gap') || reasons.includes('lost_events')
}

function onlyOne<T>(list: readonly T[]): T | undefined {
  return list.length === 1 ? list[0] : undefined
}

const afterworkNs = 5_000_000n
