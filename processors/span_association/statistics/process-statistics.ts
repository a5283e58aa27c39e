import { createJudge, type Verdict } from './judge.ts'
import { guessFirst } from './first-guess.ts'
import { createModel, type Model } from './model.ts'
import { createOrder } from './order.ts'
import { createRandom } from './random.ts'
import { type Call, createScene, groupsOf, type Request, type Scene } from './scene.ts'
import { finish, type Steps } from './steps.ts'
import { createWaitsFor } from './waits-for.ts'

/** What was decided of a call: the request that caused it (undefined: none), how sure that is, and what else it could have been. */
export interface Decision<R, C> {
  readonly call: C
  readonly cause: R | undefined
  readonly confidence: number
  readonly others: readonly { readonly cause: R; readonly confidence: number }[]
}

/** A request or call as it came. Times in ns on one scale, `arrivedMs` on the one clock. */
export interface Arrival<T> {
  readonly item: T
  readonly start: number
  readonly end: number
  readonly kind: number
  readonly words: readonly string[]
  readonly arrivedMs: number
}

/** The requests and calls of one process that wait for a decision, and what is learnt of it. */
export interface ProcessStatistics<R, C> {
  addRequest(arrival: Arrival<R>): void
  /** `cause`: the request that caused it, where another rule knows. */
  addCall(arrival: Arrival<C>, cause?: R): void
  /** Decides the calls that have waited long enough; all with `isLast`. */
  decide(nowMs: number, isLast: boolean): Decision<R, C>[]
  /** The same step by step. Nothing must be added before it is done. */
  decideInSteps(nowMs: number, isLast: boolean): Steps<Decision<R, C>[]>
  /** Calls that could not be judged because there were too many at once. */
  readonly passedOver: number
}

interface OwnRequest<R> extends Request {
  readonly item: R
  readonly arrivedMs: number
  readonly decided: Call[]
}

interface OwnCall<R, C> extends Call {
  readonly item: C
  readonly arrivedMs: number
  known: OwnRequest<R> | undefined
}

export interface StatisticsLimits {
  /** How long a call waits for its decision after it came: so long may the request take that caused it, beyond the call's end. */
  readonly decideAfterMs: number
  /** The same while little is known of the process: the more it sees at once, the better it learns. */
  readonly patienceMs: number
  /** Calls, and requests, of one process that are looked at together. */
  readonly mostAtOnce: number
}

export function createProcessStatistics<R, C>({
  mostAtOnce,
  decideAfterMs,
  patienceMs,
}: StatisticsLimits): ProcessStatistics<R, C> {
  let requests: OwnRequest<R>[] = []
  let calls: OwnCall<R, C>[] = []
  const byItem = new Map<R, OwnRequest<R>>()
  let resolution = 1e6
  let learnt = learnFromNothing()
  let passedOver = 0
  let hasCalled = false
  let lookedMs = -Infinity

  function learnFromNothing() {
    const unit = Math.max(resolution, 1000)
    const waits = createWaitsFor(unit)
    return {
      model: createModel(unit),
      waits,
      order: createOrder(waits.waitsFor),
      random: createRandom(20261128),
    }
  }

  function addRequest({ item, start, end, kind, words, arrivedMs }: Arrival<R>): void {
    noteResolution(start, end)
    const request: OwnRequest<R> = { item, start, end, kind, words, arrivedMs, decided: [] }
    requests.push(request)
    byItem.set(item, request)
  }

  function addCall({ item, start, end, kind, words, arrivedMs }: Arrival<C>, cause?: R): void {
    noteResolution(start, end)
    hasCalled = true
    const known = cause === undefined ? undefined : byItem.get(cause)
    if (cause !== undefined && !known) return
    calls.push({ item, start, end, kind, words, arrivedMs, known })
  }

  /** SDKs give milliseconds, the kernel nanoseconds: a finer clock than was thought makes all that was learnt coarse. */
  function noteResolution(start: number, end: number): void {
    while (resolution > 1 && (start % resolution !== 0 || end % resolution !== 0)) {
      resolution /= 1000
      learnt = learnFromNothing()
    }
  }

  function* decideInSteps(nowMs: number, isLast: boolean): Steps<Decision<R, C>[]> {
    const dueMs = isLast
      ? Infinity
      : nowMs - (learnt.model.experience < maturity ? patienceMs : decideAfterMs)
    const waitMs = learnt.model.experience < maturity ? patienceMs / 2 : decideAfterMs
    if (!isLast && nowMs - lookedMs < waitMs) return []
    if (!calls.some(({ arrivedMs }) => arrivedMs <= dueMs)) {
      if (!hasCalled) forget(requests.filter(({ arrivedMs }) => arrivedMs <= dueMs))
      return []
    }
    lookedMs = nowMs
    const taken = takeEarliest()
    const scene = createScene(taken.requests, taken.calls)
    const isDue = ({ arrivedMs }: OwnCall<R, C>) => isLast || arrivedMs <= dueMs
    const isCut = (group: readonly number[]) => {
      const own = group.map(call => scene.calls[call] as OwnCall<R, C>)
      return own.every(isDue) || own.some(({ arrivedMs }) => arrivedMs <= dueMs - mostWaitMs)
    }
    yield scene.candidates.reduce((sum, { length }) => sum + length, 100)
    const verdicts = yield* judge(scene, learnt, isCut)
    return freeze(scene, verdicts, { dueMs, isLast })
  }

  /** More than can be looked at: the later ones are passed over, so that what is decided is decided well. */
  function takeEarliest(): { requests: OwnRequest<R>[]; calls: Call[] } {
    if (calls.length > mostAtOnce) {
      calls.sort((a, b) => a.arrivedMs - b.arrivedMs)
      passedOver += calls.length - mostAtOnce
      calls.length = mostAtOnce
    }
    if (requests.length > mostAtOnce) {
      requests.sort((a, b) => a.arrivedMs - b.arrivedMs)
      forget(requests.slice(0, requests.length - mostAtOnce))
    }
    return { requests, calls: [...calls, ...requests.flatMap(({ decided }) => decided)] }
  }

  /**
   * Groups of calls that share no candidates are frozen as soon as all of them are due: there is no doubt at that cut. A group that
   * goes on and on is cut where its calls have waited twice as long.
   */
  function freeze(
    scene: Scene,
    verdicts: readonly (readonly Verdict[])[],
    { dueMs, isLast }: { dueMs: number; isLast: boolean },
  ): Decision<R, C>[] {
    const decisions: Decision<R, C>[] = []
    const done = new Set<Call>()
    for (const verdict of verdicts.flat()) {
      const call = scene.calls[verdict.call] as OwnCall<R, C>
      if (!isLast && call.arrivedMs > dueMs) continue
      decisions.push(decisionOf(scene, verdict))
      done.add(call)
    }
    const waiting = new Set<number>()
    for (const [at, call] of scene.calls.entries()) {
      if (scene.isFree[at] && !done.has(call))
        for (const request of scene.candidates[at]!) waiting.add(request)
    }
    for (const [at, call] of scene.calls.entries()) if (!scene.isFree[at]) done.add(call)
    learnt.order.settle(Uint8Array.from(scene.calls, call => (done.has(call) ? 1 : 0)))
    calls = calls.filter(call => !done.has(call))
    settleRequests(scene, { dueMs, isLast, waiting, sure: sureness(verdicts) })
    return decisions
  }

  function decisionOf(scene: Scene, { call, cause, confidence, others }: Verdict): Decision<R, C> {
    const own = scene.calls[call] as OwnCall<R, C>
    const request = cause < 0 ? undefined : (scene.requests[cause] as OwnRequest<R>)
    if (request) request.decided.push({ ...own, known: request })
    const seen = request ? learnt.model.familiarity(request.kind, own.kind) : 0
    return {
      call: own.item,
      cause: request?.item,
      confidence: (confidence * seen) / (seen + unfamiliarity),
      others: others.map(other => ({
        cause: (scene.requests[other.cause] as OwnRequest<R>).item,
        confidence: other.confidence,
      })),
    }
  }

  /** Requests that can get no more calls are learnt from for good, by how sure they are, and forgotten. */
  function settleRequests(
    scene: Scene,
    {
      dueMs,
      isLast,
      waiting,
      sure,
    }: { dueMs: number; isLast: boolean; waiting: Set<number>; sure: Map<number, number> },
  ): void {
    const { model } = learnt
    model.forgetTried()
    const settled: OwnRequest<R>[] = []
    for (const [at, request] of (scene.requests as OwnRequest<R>[]).entries()) {
      if (waiting.has(at) || !(isLast || request.arrivedMs <= dueMs)) continue
      model.settle(scene, at, sure.get(at) ?? 1)
      settled.push(request)
    }
    forget(settled)
    model.age()
    model.finishTrying()
  }

  function forget(gone: readonly OwnRequest<R>[]): void {
    const set = new Set(gone)
    requests = requests.filter(request => !set.has(request))
    for (const { item } of gone) byItem.delete(item)
  }

  return {
    addRequest,
    addCall,
    decide: (nowMs, isLast) => finish(decideInSteps(nowMs, isLast)),
    decideInSteps,
    get passedOver() {
      return passedOver
    },
  }
}

/** A group of calls that never ends is cut after this long beyond the time at which its oldest was due. */
const mostWaitMs = 2000

/** What was seen this often is believed half: a few requests explain themselves. */
const unfamiliarity = 20

/** Requests after which a process is known. */
const maturity = 1000

interface Learnt {
  readonly model: Model
  readonly waits: ReturnType<typeof createWaitsFor>
  readonly order: ReturnType<typeof createOrder>
  readonly random: () => number
}

/** Guesses, learns from the guess, guesses again; then decides the groups that are to be cut. The less is known, the more rounds. */
function* judge(
  scene: Scene,
  { model, waits, order, random }: Learnt,
  isCut: (group: readonly number[]) => boolean,
): Steps<Verdict[][]> {
  const groups = groupsOf(scene)
  yield* guessFirst(scene, model)
  learn()
  const free = groups.reduce((sum, group) => sum + group.length, 0)
  const { rounds, sweeps, last } = effortFor(model.experience, free)
  const judges = groups.map(group => ({ group, judge: createJudge({ scene, model, order, random, group }) }))
  let work = 0
  for (let round = 0; round < rounds && work < mostWork; round++) {
    for (const each of judges) {
      for (const step of each.judge.draw(sweeps)) {
        work += step
        yield step
      }
    }
    learn()
    yield scene.calls.length * workOfLearning
    if (round > 0 || rounds === 1) order.learn(scene, model, random)
    for (const each of judges) each.judge.renew()
  }
  const verdicts: Verdict[][] = []
  const share = Math.min(1, mostWork / Math.max(1, work))
  for (const { group, judge } of judges) {
    if (isCut(group)) verdicts.push(yield* judge.decide(Math.max(20, Math.round(last * share))))
  }
  return verdicts

  function learn(): void {
    model.forgetTried()
    model.tryOut(scene, 1)
    model.finishTrying()
    waits.learn(scene)
    for (const [request, calls] of scene.callsOf.entries()) order.place(scene, request, calls)
  }
}

/** Rounds of learning, sweeps in each, and sweeps for the decision; all together never more than `mostTries` tries. */
function effortFor(experience: number, calls: number): { rounds: number; sweeps: number; last: number } {
  const [rounds, sweeps, last] = experience < maturity ? [14, 40, 150] : [2, 20, 80]
  const share = Math.min(1, mostTries / Math.max(1, calls * (rounds * sweeps + 2 * last)))
  return {
    rounds,
    sweeps: Math.max(2, Math.round(sweeps * share)),
    last: Math.max(20, Math.round(last * share)),
  }
}

const mostTries = 4_000_000

/** The same where requests have so many calls that a try is no longer small: then learning ends after fewer rounds. */
const mostWork = 36_000_000

/** Per call: delays, order among its neighbours. */
const workOfLearning = 50

/** How sure the least sure call of each request is. */
function sureness(verdicts: readonly (readonly Verdict[])[]): Map<number, number> {
  const sure = new Map<number, number>()
  for (const group of verdicts) {
    for (const { cause, confidence } of group) {
      if (cause >= 0) sure.set(cause, Math.min(sure.get(cause) ?? 1, confidence))
    }
  }
  return sure
}
