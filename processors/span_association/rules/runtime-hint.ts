import type { SightSpan } from '../held.ts'
import { type Hint, socketOf } from '../hints.ts'
import type { IntervalList } from '../interval-list.ts'
import type { ProcessHistory } from '../process-history.ts'
import type { SpanIndex } from '../span-index.ts'
import type { ControlVerdict } from './control.ts'

/**
 * Rule 4: the runtime itself says for which request it made a call.
 *
 * Fires when a hint names the sockets of both and an instant at which each was open, and on each socket exactly one exchange of that
 * process was. Right, because a runtime that follows its own asynchronous work (Node's AsyncLocalStorage) knows what capture can
 * only guess on an event loop; sockets are named by machine, namespace and both ends, of which there is one at a time. A hint
 * without a request says that there was none: then weaker rules are not asked. What could fool it: code that breaks the runtime's
 * tracking (a queue of callbacks run by another request), and pipelined requests on one connection.
 */
export function runtimeHintRule(index: SpanIndex): (call: SightSpan) => ControlVerdict {
  return call => {
    if (index.hints.isEmpty()) return undefined
    const history = index.processes.get(call.process)
    const hints = index.hints.ofCall(socketOf(call))
    if (!history || hints.length === 0) return undefined
    const ours = hints.filter(hint => openAt(history.called, hint.callSocket, hint.callTime) === call)
    const [hint] = ours
    if (!hint || ours.some(other => !isSameRequest(other, hint))) return undefined
    if (hint.requestSocket === '') return 'none'
    const server = openAt(history.served, hint.requestSocket, hint.requestTime)
    if (!server) return undefined
    return { server, rule: 'runtime_hint', confidence: 0.99, evidence: 'the runtime followed it' }
  }
}

/** The call of which a hint tells. */
export function callHinted({ callSocket, callTime }: Hint, { called }: ProcessHistory): SightSpan[] {
  const call = openAt(called, callSocket, callTime)
  return call ? [call] : []
}

function isSameRequest(a: Hint, b: Hint): boolean {
  return a.requestSocket === b.requestSocket && a.requestTime === b.requestTime
}

/**
 * The exchange that was open on a socket at that time. One after another may touch it within the error of the clocks: then the last
 * to begin before it, since both instants are taken after the first byte has come or gone.
 */
function openAt(sights: IntervalList<SightSpan>, socket: string, time: number): SightSpan | undefined {
  const open = sights
    .overlapping(time - clockErrorNs, time + clockErrorNs)
    .filter(sight => socketOf(sight) === socket)
  return open.length > 1 ? open.find(({ start }) => start <= time) : open[0]
}

/** The runtime's clock against the kernel's. */
const clockErrorNs = 2e6
