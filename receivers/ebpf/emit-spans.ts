import { Observable } from 'rxjs'
import type { Intake, Peers, ReceiverContext } from '../../core/component.ts'
import type { Advice, CaptureEvent } from '../../flow/events.ts'
import { createFlow, type FinishedSpan, type FlowOptions, type FlowStats } from '../../flow/index.ts'
import { Batch, groupSpans } from '../../model/batch.ts'
import { Span } from '../../model/span.ts'

export interface Capture {
  readonly events$: Observable<readonly CaptureEvent[]>
  /** What a recording says of its machine's kernel and budget is long past, and not worth a line. */
  readonly isLive: boolean
  /** What flow wants of connections from now on. */
  advise(advice: readonly Advice[]): void
  /** Ends `events$` after what was seen until now. */
  stop(): Promise<void>
}

/**
 * Runs `flow/` over the events. The spans finished at once are one intake; the stream ends only when core stops it. Time is
 * what the events say (the probe's ticks), never this process's clock: a replay gives the spans that were given live.
 */
export function emitSpans(
  capture: Capture,
  context: ReceiverContext,
  options: FlowOptions = {},
): Observable<Intake> {
  return new Observable<Intake>(subscriber => {
    const flow = createFlow(options)
    const senders = createSenders(context.peers)
    watchStats(flow.stats, context)
    const losses = createLossReport(context)
    const tiers = createTierReport(context, capture.isLive)
    const emit = (spans: readonly FinishedSpan[]) => {
      if (spans.length > 0) subscriber.next(intakeOf(spans, context, losses.refused))
    }
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      emit(flow.flush())
      losses.sum()
      if (context.stopping.aborted) subscriber.complete()
      else context.stopping.addEventListener('abort', () => subscriber.complete(), { once: true })
    }
    const subscription = capture.events$.subscribe({
      next: events => {
        for (const event of events) {
          senders.see(event)
          losses.see(event)
          tiers.see(event)
        }
        emit(flow.push(events))
        const advice = flow.takeAdvice()
        if (advice.length > 0) capture.advise(advice)
      },
      complete: end,
      error: (error: unknown) => {
        const problem = error instanceof Error ? error.message : String(error)
        context.logger.error(
          { problem },
          'Capture has ended. Everything else goes on; restart Fullspan to capture again.',
        )
        end()
      },
    })
    const stop = () => void capture.stop().then(end, end)
    if (context.stopping.aborted) stop()
    else context.stopping.addEventListener('abort', stop, { once: true })
    return () => subscription.unsubscribe()
  })
}

/** The kernel cannot be asked to wait: spans that are refused for lack of room are lost. Core counts them as refused. */
function intakeOf(
  spans: readonly FinishedSpan[],
  context: ReceiverContext,
  lose: (spans: number, reason: string) => void,
): Intake {
  return context.intake(
    origin =>
      Batch.ofGroups(groupSpans(spans.map(each => ({ ...each, span: new Span(each.span.bytes, origin) })))),
    { answer: answer => answer.kind === 'refused' && lose(spans.length, answer.reason) },
  )
}

const reportEveryMs = 10_000

interface LossReport {
  /** Spans that found no room. */
  refused(spans: number, reason: string): void
  /** Counts what the kernel side and the probe lost. */
  see(event: CaptureEvent): void
  /** Says the totals, if anything was lost at all. */
  sum(): void
}

/** Says what is lost, at most every ten seconds with the totals so far, and at the end. */
function createLossReport({ logger, clock }: ReceiverContext): LossReport {
  const lost: Record<string, number> = {}
  let said = 0
  let total = 0
  let saidAtMs = -Infinity

  function add(count: number, reason: string): void {
    lost[reason] = (lost[reason] ?? 0) + count
    total += count
    if (clock.nowMs() - saidAtMs >= reportEveryMs) say()
  }

  function say(): void {
    if (total === said) return
    said = total
    saidAtMs = clock.nowMs()
    logger.warn({ lost }, 'Captured events or spans were lost (totals since the start, by reason).')
  }

  return {
    refused: (spans, reason) => add(spans, `spans refused: ${reason}`),
    see(event) {
      if (event.type !== 'loss') return
      for (const [reason, count] of Object.entries(event.reasons)) {
        // The event itself was delivered, only its payload is missing.
        if (reason !== 'payload_fault' && count > 0) add(count, `events: ${reason}`)
      }
    },
    sum: say,
  }
}

/** Says once how this kernel is captured, and every step that the budget forces; a recording's are long past. */
function createTierReport(
  { logger, meter }: ReceiverContext,
  isLive: boolean,
): { see(event: CaptureEvent): void } {
  let level = 0
  meter
    .createObservableGauge('fullspan.capture.level', {
      description: 'Steps that capture went down to keep within its budget: 0 captures in full.',
    })
    .addCallback(result => result.observe(level))
  return {
    see(event) {
      if (event.type === 'host' && isLive) {
        const { sysTier, netTier, kernelRelease } = event
        logger.info(
          { sys: sysTier, net: netTier, kernel: kernelRelease },
          'capturing system calls and packets',
        )
      }
      if (event.type !== 'level') return
      const { share, maxPayloadBytes, eventsPerSecond, cpu } = event
      const isDown = event.level > level
      level = event.level
      logger[isDown ? 'warn' : 'info'](
        { level, share, maxPayloadBytes, eventsPerSecond, cpuPercent: cpu * 100 },
        isDown ? 'Capture is over its budget and steps down.' : 'Capture steps up again.',
      )
    },
  }
}

/** Tells the association which process sends the APP spans that arrive on a connection. */
function createSenders(peers: Peers): { see(event: CaptureEvent): void } {
  const startTimes = new Map<number, bigint>()
  let bootId = ''
  return {
    see(event) {
      if (event.type === 'host') bootId = event.bootId
      else if (event.type === 'process') startTimes.set(event.pid, event.startTimeNs)
      else if (event.type === 'process_exit') startTimes.delete(event.pid)
      else if (event.type === 'own_connection') {
        const { address, port } = event.local
        peers.set(`${address}:${port}`, `${bootId}/${event.pid}/${startTimes.get(event.pid) ?? 0n}`)
      }
    },
  }
}

/** The account of raw events: seen = used + ignored, and what the kernel side lost before. */
function watchStats(stats: FlowStats, { meter }: ReceiverContext): void {
  const events = meter.createObservableCounter('fullspan.capture.events', {
    description: 'Captured events by what became of them: used, ignored (why), lost (why).',
  })
  const spans = meter.createObservableCounter('fullspan.capture.spans', {
    description: 'SYS and NET spans made.',
  })
  meter.addBatchObservableCallback(
    result => {
      result.observe(events, stats.eventsUsed, { outcome: 'used' })
      for (const [reason, count] of Object.entries(stats.eventsIgnored)) {
        result.observe(events, count, { outcome: 'ignored', reason })
      }
      for (const [reason, count] of Object.entries(stats.eventsLost)) {
        result.observe(events, count, { outcome: 'lost', reason })
      }
      result.observe(spans, stats.sysSpans, { layer: 'sys' })
      result.observe(spans, stats.netSpans, { layer: 'net' })
    },
    [events, spans],
  )
}
