import type { SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import { type ControlLink, onlyOpen } from './control.ts'

/**
 * Rule 3a: an outgoing call belongs to the request that its coroutine was serving.
 *
 * Fires when the coroutine (Go: goroutine) that sent the call has read exactly one request that was open from before the call
 * until after it. Right, because a coroutine is one thread of control, whichever threads run it, and reads its next request when
 * it has answered the last. What could fool it: a coroutine that accepts requests for others and makes calls of its own meanwhile,
 * and ids that a runtime uses again (then the requests are apart in time). An id of 0 is none.
 */
export function coroutineRule(index: SpanIndex): (call: SightSpan) => ControlLink | undefined {
  return call => {
    if (call.coroutine === undefined || call.isTouchedByLoss) return undefined
    const served = index.processes.get(call.process)?.coroutines.get(call.coroutine)
    const server = served && onlyOpen(call, served)
    if (!server) return undefined
    return {
      server,
      rule: 'coroutine',
      confidence: 0.98,
      evidence: `only request of coroutine ${call.coroutine}`,
    }
  }
}
