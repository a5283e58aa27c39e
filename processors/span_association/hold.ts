import { Observable } from 'rxjs'
import type { ProcessorContext } from '../../core/component.ts'
import type { Infer } from '../../core/schema.ts'
import type { Batch, SpanGroup } from '../../model/batch.ts'
import { createResource } from '../../model/resource.ts'
import { Span, type SpanFields } from '../../model/span.ts'
import { bindByProof } from './bind-by-proof.ts'
import { createClocks } from './clocks.ts'
import { collectComponent, type Component } from './component.ts'
import { createEnvelopes } from './envelopes.ts'
import { type Held, holdSpan, timeOf } from './held.ts'
import { createHeldQueue } from './held-queue.ts'
import { isHintScope, readHint } from './hints.ts'
import { linkComponent, type Linked } from './links.ts'
import { createMemory } from './memory.ts'
import { createMetrics, type ReleaseReason } from './metrics.ts'
import { releaseComponent } from './release.ts'
import { createRules } from './rules/index.ts'
import type { schema } from './schema.ts'
import { createSpanIndex } from './span-index.ts'
import { createStores } from './stores.ts'
import { isLaterVersion } from './versions.ts'

/**
 * Holds spans until their trace is finished, then emits it as one batch. One look at every span when it comes, one when it
 * has waited `idle_timeout`: if what hangs together with it has waited as long, all of it leaves.
 */
export function holdTraces(config: Infer<typeof schema>, context: ProcessorContext) {
  const metrics = createMetrics(context.meter)
  for (const problem of contradictionsIn(config)) context.logger.warn({}, problem)

  return (input$: Observable<Batch>): Observable<Batch> =>
    new Observable<Batch>(output => {
      const clocks = createClocks()
      const index = createSpanIndex(clocks)
      const rules = createRules(index, {
        isEnabled: config.statistics.enabled,
        decideAfterMs: config.statistics.decide_after,
        idleTimeoutMs: config.idle_timeout,
        mostAtOnce: config.statistics.max_at_once,
        mostProcesses: config.statistics.max_processes,
      })
      const memory = createMemory(config.max_remembered)
      const linking = {
        rules,
        memory,
        minConfidence: config.min_confidence,
        isExplained: config.explain,
      }
      const options = {
        mode: config.mode,
        unifyTraceIds: config.trace_ids === 'unify',
        forwardApp: config.forward_app,
      }
      const queue = createHeldQueue()
      const stores = createStores()
      const envelopes = createEnvelopes()
      /** What has waited long enough, but not for what statistics are deciding. */
      let waiting: readonly Held[] = []
      let sweptAtMs = 0
      let cancelTick: (() => void) | undefined

      const stopObserving = metrics.observe({ stores, index, clocks })
      const subscription = input$.subscribe({
        next: batch => {
          take(batch)
          while (stores.heldBytes() > config.max_held_bytes && releaseOldest('max_held_bytes'));
          while (index.traceCount > config.max_traces && releaseOldest('max_traces'));
          scheduleTick()
        },
        error: (error: unknown) => output.error(error),
        complete: () => {
          if (clocks.update(context.clock.nowMs())) index.forgetOrder()
          bindAll(queue.dueBefore(Infinity))
          rules.statistics.decide(context.clock.nowMs(), true)
          while (releaseOldest('shutdown'));
          output.complete()
        },
      })
      return () => {
        subscription.unsubscribe()
        cancelTick?.()
        stopObserving()
      }

      function take(batch: Batch): void {
        const nowMs = context.clock.nowMs()
        const groups = batch.groups.filter(group => !isHintScope(group.scope))
        if (groups.length < batch.groups.length) takeHints(batch)
        let last: SpanGroup | undefined
        let resource = noEnvelope
        let scope = noEnvelope
        const full = new Set<Held>()
        stores.keep(groups, (span, store, group) => {
          if (group !== last) {
            last = group
            resource = envelopes.intern(group.resource)
            scope = envelopes.intern(group.scope)
          }
          const held = holdSpan({ span, resource, scope, store, clocks }, nowMs)
          if (add(held) && index.isTraceFull(held, config.max_trace_spans)) full.add(held)
        })
        for (const held of full) if (!held.isReleased) releaseFrom(held, 'max_trace_spans')
      }

      function takeHints({ groups }: Batch): void {
        const spans = groups.filter(({ scope }) => isHintScope(scope)).flatMap(group => group.spans)
        for (const span of spans) {
          const hint = readHint(span)
          if (hint) index.hints.add(hint)
        }
        metrics.hints.add(spans.length)
        metrics.hintsForgotten.record(index.hints.forgotten())
        context.merge(spans)
      }

      /** False where the same span is held already, or has left, and says no more than that. */
      function add(held: Held): boolean {
        const earlier = index.earlierOf(held)
        const known = earlier ?? memory.left(held)
        if (known && !isLaterVersion(held, known)) {
          settleDuplicate(held)
          return false
        }
        if (earlier) {
          index.replace(earlier, held)
          earlier.isReleased = true
          settleDuplicate(earlier)
        } else index.add(held)
        if (held.layer === 'sys') rules.statistics.add(held)
        queue.add(held)
        return true
      }

      function settleDuplicate(held: Held): void {
        stores.release(held.store)
        metrics.duplicates.add(1)
        context.merge([held.span])
      }

      function scheduleTick(): void {
        cancelTick ??= context.clock.after(Math.max(config.idle_timeout / 50, 20), () => {
          cancelTick = undefined
          releaseIdle()
          if (queue.oldest()) scheduleTick()
        })
      }

      /** Looks at each span once it has waited: the last one of a trace to come finds all the others, and lets them go. */
      function releaseIdle(): void {
        const nowMs = context.clock.nowMs()
        if (clocks.update(nowMs)) index.forgetOrder()
        const due = queue.dueBefore(nowMs - config.idle_timeout)
        bindAll(due)
        waiting = waiting.length > 0 ? [...waiting, ...due] : due
        rules.statistics.decide(nowMs, false)
        if (!rules.statistics.isDeciding(nowMs)) releaseWaiting(nowMs)
        for (let held = queue.oldest(); held; held = queue.oldest()) {
          if (nowMs - held.arrivedMs < config.max_age) break
          releaseFrom(held, 'max_age')
        }
        if (nowMs - sweptAtMs < sweepEveryMs) return
        sweptAtMs = nowMs
        index.forgetServedBefore(timeOf(context.clock.nowNs() - rememberServedNs))
      }

      function releaseWaiting(nowMs: number): void {
        const due = waiting
        waiting = []
        const ready: Leaving[] = []
        for (const held of due) {
          if (held.isReleased || held.isLeaving || nowMs - held.waitsForMs < config.idle_timeout) continue
          const leaving = collectIfIdle(held, nowMs)
          if (leaving) ready.push(leaving)
        }
        releaseAll(ready)
      }

      /** What one proof says can make another one unambiguous: again, until nothing is new. */
      function bindAll(due: readonly Held[]): void {
        for (let round = 0; round < mostBindings; round++) {
          const { version } = index
          for (const held of due) if (!held.isReleased) bindByProof(held, index, rules, context.peers)
          if (index.version === version) return
        }
      }

      function collectIfIdle(held: Held, nowMs: number): Leaving | undefined {
        const component = collect(held)
        let last = 0
        forEachMember(component, member => (last = Math.max(last, member.arrivedMs)))
        const isIdle = nowMs - last >= config.idle_timeout
        forEachMember(component, member => {
          if (isIdle || component.isCut) member.isLeaving = true
          else member.waitsForMs = last
        })
        if (component.isCut) return { component, reason: 'max_trace_spans' }
        return isIdle ? { component, reason: 'idle' } : undefined
      }

      function releaseOldest(reason: ReleaseReason): boolean {
        const oldest = queue.oldest()
        if (!oldest) return false
        releaseFrom(oldest, reason)
        return true
      }

      function releaseFrom(held: Held, reason: ReleaseReason): void {
        releaseAll([{ component: collect(held), reason }])
      }

      function collect(held: Held): Component {
        return collectComponent(held, index, rules, config.max_trace_spans)
      }

      /** All get their parents before any leaves: who counts candidates sees the same, whoever goes first. */
      function releaseAll(leaving: readonly Leaving[]): void {
        const linked = leaving.map(each => ({ ...each, linked: linkComponent(each.component, linking) }))
        for (const each of linked) release(each)
      }

      function release({ component, linked, reason }: Leaving & { linked: Linked }): void {
        const {
          batch,
          members,
          withheld,
          rules: counts,
        } = releaseComponent(component, linked, {
          context: linking,
          options,
        })
        metrics.demoted.record(rules.settle(component.exchanges))
        metrics.released.add(1, { reason })
        for (const held of members) {
          index.remove(held)
          stores.release(held.store)
          letGo(held, index.hints.isEmpty())
        }
        for (const [rule, count] of counts) metrics.links.add(count, { rule })
        if (withheld.length > 0) context.drop(withheld, 'forward_app is off')
        if (config.unsampled === 'drop' && isUnsampled(component)) context.drop(batch, 'unsampled')
        else if (batch.items > 0) output.next(batch)
      }
    })
}

/** Settings that are allowed, but do not do together what they say. */
function contradictionsIn({ idle_timeout, max_age, statistics }: Infer<typeof schema>): string[] {
  const found: string[] = []
  if (max_age < idle_timeout) {
    found.push(
      'max_age is less than idle_timeout: every trace leaves by its age, maybe before all of it came',
    )
  }
  if (statistics.enabled && statistics.decide_after > idle_timeout / 2) {
    found.push('statistics.decide_after is more than half of idle_timeout: half of idle_timeout is used')
  }
  return found
}

interface Leaving {
  readonly component: Component
  readonly reason: ReleaseReason
}

/**
 * What a process served is still asked for when it has left: by its ids, and by its socket where runtimes give hints. It must not keep
 * the bytes of its request for that.
 */
function letGo(held: Held, isHintless: boolean): void {
  const { span } = held
  if (held.layer !== 'sys' || held.point !== 's-p') held.span = gone
  else held.span = isHintless ? idsOnly(span.spanId, span.traceId) : span.detached()
  if (held.layer !== 'app') held.exchange = undefined
}

function idsOnly(spanId: string, traceId: string): Span {
  return Span.create({ ...noSpan, spanId, traceId }).detached()
}

const noSpan: SpanFields = {
  traceId: '',
  spanId: '',
  parentSpanId: '',
  name: '',
  kind: 0,
  startTimeUnixNano: 0n,
  endTimeUnixNano: 0n,
}
const gone = Span.create(noSpan).detached()
const noEnvelope = createResource([])

/** What a process served stays known for this long, to decide what was open when a late call was made. */
const rememberServedNs = 60_000_000_000n
const sweepEveryMs = 5000
const mostBindings = 4

function forEachMember({ apps, exchanges }: Component, see: (member: Held) => void): void {
  apps.forEach(see)
  for (const { members } of exchanges) members.forEach(see)
}

/** Every header says so, and no SDK sent a span of it all the same. */
function isUnsampled({ apps, exchanges }: Component): boolean {
  if (apps.size > 0) return false
  const headers = [...exchanges].flatMap(exchange => exchange.headers)
  return headers.length > 0 && headers.every(({ isUnsampled }) => isUnsampled)
}
