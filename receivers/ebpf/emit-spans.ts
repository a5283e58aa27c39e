import { Observable, type Subscriber } from 'rxjs'
import type { Intake, Peers, ReceiverContext } from '../../core/component.ts'
import type { CaptureEvent } from '../../flow/events.ts'
import { createFlow, type FinishedSpan, type FlowStats } from '../../flow/index.ts'
import { Batch, groupSpans } from '../../model/batch.ts'
import { Span } from '../../model/span.ts'

export interface Capture {
  readonly events$: Observable<readonly CaptureEvent[]>
  /** Live events go on with the kernel's clock; a recording knows no time but its own. */
  readonly isLive: boolean
  /** Ends `events$` after what was seen until now. */
  stop(): Promise<void>
}

/** Spans that are waiting for time to pass (quiet connections, late facts) are looked at this often. */
const advanceEveryMs = 100

/** Runs `flow/` over the events. The spans finished at once are one intake; the stream ends only when core stops it. */
export function emitSpans(capture: Capture, context: ReceiverContext): Observable<Intake> {
  return new Observable<Intake>(subscriber => {
    const flow = createFlow()
    const senders = createSenders(context.peers)
    watchStats(flow.stats, context)
    const emit = (spans: readonly FinishedSpan[]) => emitIntake(spans, context, subscriber)
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      emit(flow.flush())
      if (context.stopping.aborted) subscriber.complete()
      else context.stopping.addEventListener('abort', () => subscriber.complete(), { once: true })
    }
    const subscription = capture.events$.subscribe({
      next: events => {
        for (const event of events) senders.see(event)
        emit(flow.push(events))
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
    const timer = capture.isLive
      ? setInterval(() => emit(flow.advance(process.hrtime.bigint())), advanceEveryMs)
      : undefined
    const stop = () => void capture.stop().then(end, end)
    if (context.stopping.aborted) stop()
    else context.stopping.addEventListener('abort', stop, { once: true })
    return () => {
      clearInterval(timer)
      subscription.unsubscribe()
    }
  })
}

function emitIntake(
  spans: readonly FinishedSpan[],
  context: ReceiverContext,
  subscriber: Subscriber<Intake>,
): void {
  if (spans.length === 0) return
  const intake = context.intake(
    origin =>
      Batch.ofGroups(groupSpans(spans.map(each => ({ ...each, span: new Span(each.span.bytes, origin) })))),
    {
      answer: answer => {
        // The kernel cannot be asked to wait: what finds no room is lost, and counted.
        if (answer.kind === 'refused') context.refuse('traces', spans.length, answer.reason)
      },
    },
  )
  subscriber.next(intake)
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
