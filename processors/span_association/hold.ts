import { Observable } from 'rxjs'
import type { ProcessorContext } from '../../core/component.ts'
import type { Infer } from '../../core/schema.ts'
import type { Batch } from '../../model/batch.ts'
import type { Envelope } from '../../model/resource.ts'
import { bindByProof } from './bind-by-proof.ts'
import { collectComponent, type Component } from './component.ts'
import { type Held, holdSpan, timeOf } from './held.ts'
import { createHeldQueue } from './held-queue.ts'
import { isHintScope, readHint } from './hints.ts'
import { createMemory } from './memory.ts'
import { releaseComponent } from './release.ts'
import { createRules } from './rules/index.ts'
import type { schema } from './schema.ts'
import { createSpanIndex } from './span-index.ts'
import { createStores } from './stores.ts'

/**
 * Holds spans until their trace is finished, then emits it as one batch. One look at every span when it comes, one when it
 * has waited `idle_timeout`: if what hangs together with it has waited as long, all of it leaves.
 */
export function holdTraces(config: Infer<typeof schema>, context: ProcessorContext) {
  const metrics = createMetrics(context)

  return (input$: Observable<Batch>): Observable<Batch> =>
    new Observable<Batch>(output => {
      const index = createSpanIndex()
      const rules = createRules(index)
      const linking = {
        rules,
        memory: createMemory(config.max_remembered),
        minConfidence: config.min_confidence,
      }
      const options = {
        mode: config.mode,
        unifyTraceIds: config.trace_ids === 'unify',
        forwardApp: config.forward_app,
      }
      const queue = createHeldQueue()
      const stores = createStores()
      let sweptAtMs = 0
      let cancelTick: (() => void) | undefined
      const detached = new WeakMap<Envelope, Envelope>()

      const subscription = input$.subscribe({
        next: batch => {
          take(batch)
          while (stores.heldBytes() > config.max_held_bytes && releaseOldest());
          scheduleTick()
        },
        error: (error: unknown) => output.error(error),
        complete: () => {
          for (const held of queue.dueBefore(Infinity)) bindIfHeld(held)
          while (releaseOldest());
          output.complete()
        },
      })
      return () => {
        subscription.unsubscribe()
        cancelTick?.()
      }

      function take(batch: Batch): void {
        const nowMs = context.clock.nowMs()
        const groups = batch.groups.filter(group => !isHintScope(group.scope))
        if (groups.length < batch.groups.length) takeHints(batch)
        const kept = stores.keep(groups.flatMap(({ spans }) => spans))
        let at = 0
        for (const group of groups) {
          const resource = detach(group.resource)
          const scope = detach(group.scope)
          for (let count = group.spans.length; count > 0; count--) {
            const held = holdSpan({ ...kept[at++]!, resource, scope }, nowMs)
            index.add(held)
            queue.add(held)
          }
        }
        metrics.held.record(stores.heldBytes())
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

      function detach(envelope: Envelope): Envelope {
        let own = detached.get(envelope)
        if (!own) {
          own = envelope.detached()
          detached.set(envelope, own)
        }
        return own
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
        const due = queue.dueBefore(nowMs - config.idle_timeout)
        for (const held of due) bindIfHeld(held)
        for (const held of due) {
          if (!held.isReleased && nowMs - held.waitsForMs >= config.idle_timeout) releaseIfIdle(held, nowMs)
        }
        for (let held = queue.oldest(); held; held = queue.oldest()) {
          if (nowMs - held.arrivedMs < config.max_age) break
          release(collectComponent(held, index, rules, config.max_trace_spans))
        }
        if (nowMs - sweptAtMs < sweepEveryMs) return
        sweptAtMs = nowMs
        index.forgetServedBefore(timeOf(context.clock.nowNs() - rememberServedNs))
      }

      function bindIfHeld(held: Held): void {
        if (!held.isReleased) bindByProof(held, index, rules, context.peers)
      }

      function releaseIfIdle(held: Held, nowMs: number): void {
        const component = collectComponent(held, index, rules, config.max_trace_spans)
        let last = 0
        forEachMember(component, member => (last = Math.max(last, member.arrivedMs)))
        if (nowMs - last >= config.idle_timeout) release(component)
        else forEachMember(component, member => (member.waitsForMs = last))
      }

      function releaseOldest(): boolean {
        const oldest = queue.oldest()
        if (!oldest) return false
        release(collectComponent(oldest, index, rules, config.max_trace_spans))
        return true
      }

      function release(component: Component): void {
        const { batch, members, withheld, rules: counts } = releaseComponent(component, linking, options)
        metrics.demoted.record(rules.settle(component.exchanges))
        for (const held of members) {
          index.remove(held)
          stores.release(held.store)
        }
        for (const [rule, count] of counts) metrics.links.add(count, { rule })
        if (withheld.length > 0) context.drop(withheld, 'forward_app is off')
        if (config.unsampled === 'drop' && isUnsampled(component)) context.drop(batch, 'unsampled')
        else if (batch.items > 0) output.next(batch)
        metrics.held.record(stores.heldBytes())
      }
    })
}

/** What a process served stays known for this long, to decide what was open when a late call was made. */
const rememberServedNs = 60_000_000_000n
const sweepEveryMs = 5000

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

function createMetrics({ meter }: ProcessorContext) {
  return {
    links: meter.createCounter('fullspan.association.links', { description: 'Parents given, by rule.' }),
    demoted: meter.createGauge('fullspan.association.demoted_keys', {
      description: 'Header keys that turned up on more exchanges than nest in one another.',
    }),
    hints: meter.createCounter('fullspan.association.hints', {
      description: 'Hints of runtimes, which end here: they say for which request a call was made.',
    }),
    hintsForgotten: meter.createGauge('fullspan.association.hints_forgotten', {
      description: 'Hints that went unused, because more than 100,000 came within a minute.',
    }),
    held: meter.createGauge('fullspan.association.held_bytes', {
      description: 'Bytes of the spans that wait for their trace.',
      unit: 'By',
    }),
  }
}
