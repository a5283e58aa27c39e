import { names } from '../../../model/attribute-names.ts'
import type { SightSpan } from '../held.ts'
import { createKinds, type Kinds, wordsOf } from '../statistics/kinds.ts'
import { createProcessStatistics, type ProcessStatistics } from '../statistics/process-statistics.ts'
import type { Steps } from '../statistics/steps.ts'
import type { Rules } from './index.ts'

/**
 * Rule 5: of the requests that were open in the process, the one that most likely caused an outgoing call, judged together with all other
 * calls (`statistics/`).
 *
 * Fires `decide_after` after a call came, where no rule before it knew the cause, and when nothing was lost around it. Right, because the
 * delays between a request, its calls and its end are far from random, no call has two causes, and the calls of one request belong together. What
 * could fool it: requests that are alike in everything and overlap (then the confidence is low, and by default no link is made), and requests
 * that never became spans.
 */
export interface StatisticsRule {
  /** Every SYS sight, when it comes. */
  add(sight: SightSpan): void
  /**
   * Judges what has waited long enough, for less than a second at a time: what remains goes on at the next call. All that is left with
   * `isLast`.
   */
  decide(nowMs: number, isLast: boolean): void
  /** What has been begun is not done yet, and worth waiting for. */
  isDeciding(nowMs: number): boolean
  causeOf(call: SightSpan): Guess | undefined
  /** Calls that were given to this request. */
  callsOf(request: SightSpan): readonly SightSpan[]
  /** Calls that were passed over because there were too many at once. */
  readonly passedOver: number
}

export interface Guess {
  readonly server: SightSpan
  readonly confidence: number
  readonly others: readonly { readonly server: SightSpan; readonly confidence: number }[]
}

export interface StatisticsOptions {
  readonly isEnabled: boolean
  readonly decideAfterMs: number
  readonly idleTimeoutMs: number
  readonly mostAtOnce: number
  readonly mostProcesses: number
}

export function statisticsRule(rules: Omit<Rules, 'statistics'>, options: StatisticsOptions): StatisticsRule {
  const processes = new Map<string, Watched>()
  const guesses = new WeakMap<SightSpan, Guess>()
  const given = new WeakMap<SightSpan, SightSpan[]>()
  const decideAfterMs = Math.min(options.decideAfterMs, options.idleTimeoutMs / 2)
  const patienceMs = Math.max(decideAfterMs, Math.min(3 * decideAfterMs, options.idleTimeoutMs / 2))
  let lastMs = -Infinity
  /** Through all processes, in progress. */
  let pass: Steps<void> | undefined
  let passedOver = 0

  function add(sight: SightSpan): void {
    if (!options.isEnabled || sight.layer !== 'sys' || sight.process === '') return
    let process = processes.get(sight.process)
    if (!process) {
      if (processes.size >= options.mostProcesses) forgetOldest()
      processes.set(sight.process, (process = { requests: [], calls: [], judged: undefined }))
    }
    if (sight.point === 's-p') process.requests.push(sight)
    else if (sight.point === 'c-p') process.calls.push(sight)
  }

  function decide(nowMs: number, isLast: boolean): void {
    if (isLast) {
      goOn(mostWorkAtEnd)
      pass = decideInAll(nowMs, true)
      goOn(mostWorkAtEnd)
      return
    }
    if (!pass) {
      if (nowMs - lastMs < decideAfterMs / 2) return
      lastMs = nowMs
      pass = decideInAll(nowMs, false)
    }
    goOn(mostWorkAtOnce)
  }

  function goOn(work: number): void {
    for (let left = work; pass && left > 0;) {
      const { done, value } = pass.next()
      if (done) pass = undefined
      else left -= value
    }
  }

  function* decideInAll(nowMs: number, isLast: boolean): Steps<void> {
    for (const process of [...processes.values()]) yield* decideIn(process, nowMs, isLast)
  }

  function* decideIn(process: Watched, nowMs: number, isLast: boolean): Steps<void> {
    yield 30
    const isDue = ({ arrivedMs }: SightSpan) => isLast || arrivedMs <= nowMs - decideAfterMs
    if (!process.judged) {
      const unexplained = process.calls.some(call => isDue(call) && !isExplained(call))
      if (!unexplained) {
        process.calls = process.calls.filter(call => !isDue(call))
        const earliest = process.calls.reduce((least, { start }) => Math.min(least, start), Infinity)
        process.requests = process.requests.filter(request => !isDue(request) || request.end >= earliest)
        return
      }
      process.judged = createJudged(options.mostAtOnce, { decideAfterMs, patienceMs })
    }
    feed(process, process.judged)
    const before = process.judged.statistics.passedOver
    const decisions = yield* process.judged.statistics.decideInSteps(nowMs, isLast)
    for (const { call, cause, confidence, others } of decisions) {
      if (!cause) continue
      guesses.set(call, {
        server: cause,
        confidence,
        others: others.map(other => ({ server: other.cause, confidence: other.confidence })),
      })
      const known = given.get(cause)
      if (known) known.push(call)
      else given.set(cause, [call])
    }
    passedOver += process.judged.statistics.passedOver - before
  }

  /** Only the calls that have waited: what explains one may come after it. */
  function feed(process: Watched, { statistics, requestKinds, callKinds }: Judged): void {
    for (const request of process.requests) {
      if (request.isReleased) continue
      const { span } = request
      statistics.addRequest(arrivalOf(request, requestKinds.numberOf(span.name)))
    }
    process.requests = []
    for (const call of process.calls) {
      if (call.isReleased) continue
      const known = rules.thread(call)?.server
      if (!known && isExplained(call)) continue
      const { span } = call
      const peer = `${span.text(names.serverAddress)}:${span.number(names.serverPort) ?? 0} ${span.name}`
      statistics.addCall(arrivalOf(call, callKinds.numberOf(peer)), known)
    }
    process.calls = []
  }

  /** A rule before this one knows its cause; or nothing can be said, because something was lost. */
  function isExplained(call: SightSpan): boolean {
    const { exchange } = call
    if (!exchange || call.isTouchedByLoss) return true
    return (
      rules.header.callerOf(exchange) !== undefined ||
      rules.thread(call) !== undefined ||
      rules.thread.isOfNoRequest(call) ||
      rules.messaging.senderOf(exchange) !== undefined ||
      rules.requestId.callerOf(exchange) !== undefined ||
      rules.sameExchange.appOf(call) !== undefined
    )
  }

  function forgetOldest(): void {
    const [oldest] = processes.keys()
    if (oldest !== undefined) processes.delete(oldest)
  }

  return {
    add,
    decide,
    isDeciding: nowMs => pass !== undefined && nowMs - lastMs < options.idleTimeoutMs / 2,
    causeOf: call => guesses.get(call),
    callsOf: request => given.get(request) ?? none,
    get passedOver() {
      return passedOver
    },
  }
}

/** In units of about a third of a microsecond (`steps.ts`): below a second, so that intake and exporters get their turn. */
const mostWorkAtOnce = 2_000_000
/** When Fullspan stops, what was begun and what is left get at most so much each. */
const mostWorkAtEnd = 10_000_000

/** What came of a process and has not been looked at, and its statistics once a call needs them. */
interface Watched {
  requests: SightSpan[]
  calls: SightSpan[]
  judged: Judged | undefined
}

interface Judged {
  readonly statistics: ProcessStatistics<SightSpan, SightSpan>
  readonly requestKinds: Kinds
  readonly callKinds: Kinds
}

function createJudged(
  mostAtOnce: number,
  waits: { readonly decideAfterMs: number; readonly patienceMs: number },
): Judged {
  return {
    statistics: createProcessStatistics({ mostAtOnce, ...waits }),
    requestKinds: createKinds(),
    callKinds: createKinds(),
  }
}

function arrivalOf(sight: SightSpan, kind: number) {
  const { span, start, end, arrivedMs } = sight
  return { item: sight, start, end, kind, words: wordsOf(span.text(names.urlPath)), arrivedMs }
}

const none: readonly SightSpan[] = []
