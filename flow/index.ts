import type { Protocol } from '../protocols/protocol.ts'
import { builtInProtocols } from '../protocols/index.ts'
import { createClockMap } from './clock-map.ts'
import type { SeenExchange } from './conversation.ts'
import type { Advice, CaptureEvent } from './events.ts'
import { createFacts } from './facts.ts'
import { defaultLimits, settleNs } from './limits.ts'
import type { FlowLimits } from './limits.ts'
import { createNetworkStory } from './network-story.ts'
import type { Story } from './network-story.ts'
import { createPaths } from './paths.ts'
import type { Path } from './paths.ts'
import { createResources } from './resources.ts'
import type { ServiceNameRule } from './service-name.ts'
import { createSockets } from './sockets.ts'
import { createSpanMaker } from './span-of-exchange.ts'
import type { FinishedSpan } from './span-of-exchange.ts'
import { createStats } from './stats.ts'
import type { FlowStats } from './stats.ts'
import { createThreads } from './threads.ts'

export type { FinishedSpan } from './span-of-exchange.ts'
export type { FlowLimits } from './limits.ts'
export type { FlowStats } from './stats.ts'

export interface FlowOptions {
  /** Default: all that are built in. The first that recognises a connection has it. */
  readonly protocols?: readonly Protocol[]
  readonly limits?: Partial<FlowLimits>
  /** What names a process's service, in order of preference. */
  readonly serviceNames?: readonly ServiceNameRule[] | undefined
  /** `false`: exchanges that are the same bytes again are decoded again. The spans are the same: for tests. */
  readonly hasRepeats?: boolean
}

/**
 * Capture events to SYS and NET spans. Time is the events' own: it moves with them and with `advance`. The same events give
 * the same spans, ids included. Never throws; what it can't follow is counted.
 */
export interface Flow {
  /** Takes events in the order of capture; gives the spans of exchanges that are finished. */
  push(events: readonly CaptureEvent[]): FinishedSpan[]
  /** Kernel monotonic time now: for spans that wait while no events come. Call it a few times a second. */
  advance(nowNs: bigint): FinishedSpan[]
  /** The end: what is under way leaves as it is. */
  flush(): FinishedSpan[]
  /** What is wanted of connections from now on, once: capture may spare the rest. */
  takeAdvice(): Advice[]
  readonly stats: Readonly<FlowStats>
}

const sweepEveryNs = 1_000_000_000n

export function createFlow(options: FlowOptions = {}): Flow {
  const limits: FlowLimits = { ...defaultLimits, ...options.limits }
  const protocols = options.protocols ?? builtInProtocols
  const stats = createStats()
  const clock = createClockMap()
  const facts = createFacts(limits, options.serviceNames)
  const threads = createThreads(limits.maximumThreads)
  const story = createNetworkStory(limits, stats)
  const spans = createSpanMaker({ facts, clock, threads, story, resources: createResources(facts, clock) })
  const settling: {
    readonly exchange: SeenExchange
    readonly path: Path
    /** As it was when the exchange ended: what is told later than that depends on how fast it is told. */
    readonly story: Story
    readonly dueNs: bigint
  }[] = []
  let settled = 0
  let finished: FinishedSpan[] = []
  let nowNs = 0n
  let sweptNs = 0n

  const sockets = createSockets({
    facts,
    threads,
    limits,
    stats,
    protocols,
    onExchange(exchange, stream) {
      const span = spans.ofSocket(exchange, stream)
      emit(span, 'sysSpans')
      return span
    },
    hasRepeats: options.hasRepeats !== false,
    spans,
    clock,
    onRepeat(span) {
      stats.repeats++
      emit(span, 'sysSpans')
    },
  })
  const paths = createPaths({
    limits,
    stats,
    protocols,
    onExchange(exchange, path) {
      settling.push({ exchange, path, story: spans.storyOf(exchange, path), dueNs: nowNs + settleNs })
    },
  })

  function emit(span: FinishedSpan | undefined, counter: 'sysSpans' | 'netSpans'): void {
    if (span === undefined) stats.exchangesWithoutClock++
    else {
      stats[counter]++
      finished.push(span)
    }
  }

  /** NET exchanges become spans a little later: facts about their surroundings may come right behind them. */
  function settle(isAll: boolean): void {
    while (settled < settling.length && (isAll || settling[settled]!.dueNs <= nowNs)) {
      const { exchange, path, story } = settling[settled++]!
      emit(spans.ofPath(exchange, path, story), 'netSpans')
    }
    if (settled < 1024 && settled < settling.length) return
    settling.splice(0, settled)
    settled = 0
  }

  function moveTo(ns: bigint): void {
    if (ns <= nowNs) return
    nowNs = ns
    if (settling.length > 0) settle(false)
    paths.advance(nowNs)
    if (nowNs - sweptNs < sweepEveryNs) return
    sweptNs = nowNs
    sockets.sweep(nowNs)
    paths.sweep(nowNs)
  }

  function take(event: CaptureEvent): void {
    switch (event.type) {
      case 'socket_data':
        return sockets.push(event)
      case 'tls_data':
        sockets.plain(event)
        break
      case 'packet':
        return paths.push(event)
      case 'socket_close':
        sockets.close(event)
        break
      case 'host':
        facts.setHost(event)
        break
      case 'clock':
        clock.add(event)
        break
      case 'process':
        facts.setProcess(event)
        break
      case 'process_exit':
        facts.endProcess(event.pid)
        break
      case 'interface':
        facts.setInterface(event)
        break
      case 'interface_gone':
        facts.removeInterface(event)
        break
      case 'socket_counts':
        sockets.count(event)
        break
      case 'tick':
        break // time has passed: that was all
      case 'network':
        story.add(event)
        break
      case 'level':
        stats.level = event.level
        break
      case 'own_connection':
        paths.exclude(event)
        break
      case 'loss':
        for (const [reason, count] of Object.entries(event.reasons)) {
          stats.eventsLost[reason] = (stats.eventsLost[reason] ?? 0) + count
        }
        break
      case 'gap':
        sockets.gap()
        paths.gap()
        break
    }
    stats.eventsUsed++
  }

  function takeFinished(): FinishedSpan[] {
    const spansNow = finished
    finished = []
    stats.sockets = sockets.size
    stats.paths = paths.size
    return spansNow
  }

  return {
    push(events) {
      for (const event of events) {
        stats.eventsSeen++
        moveTo(timeOf(event))
        take(event)
      }
      return takeFinished()
    },
    advance(ns) {
      moveTo(ns)
      return takeFinished()
    },
    flush() {
      sockets.flush()
      paths.flush()
      settle(true)
      return takeFinished()
    },
    takeAdvice: () => sockets.takeAdvice(),
    stats,
  }
}

function timeOf(event: CaptureEvent): bigint {
  switch (event.type) {
    case 'clock':
      return event.monotonicNs
    case 'gap':
      return event.toNs
    case 'host':
    case 'process':
    case 'interface':
    case 'interface_gone':
      return 0n
    default:
      return event.timeNs
  }
}
