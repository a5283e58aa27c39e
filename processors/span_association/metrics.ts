import type { Meter } from '@opentelemetry/api'
import type { Clocks } from './clocks.ts'
import type { SpanIndex } from './span-index.ts'
import type { Stores } from './stores.ts'

/** Why a trace left. */
export type ReleaseReason =
  'idle' | 'max_age' | 'max_held_bytes' | 'max_traces' | 'max_trace_spans' | 'shutdown'

export function createMetrics(meter: Meter) {
  const held = meter.createObservableGauge('fullspan.association.held_bytes', {
    description: 'Bytes in memory because spans in them wait for their trace.',
    unit: 'By',
  })
  const traces = meter.createObservableGauge('fullspan.association.held_traces', {
    description: 'Trace ids of APP spans that wait, and exchanges that name none.',
  })
  const offset = meter.createObservableGauge('fullspan.association.clock_offset', {
    description: 'What the clock of host `to` shows more than that of host `from`.',
    unit: 'ns',
  })
  const uncertainty = meter.createObservableGauge('fullspan.association.clock_uncertainty', {
    description: 'The offset of two clocks is right within this.',
    unit: 'ns',
  })

  /** Reads the gauges from what runs now; gives what ends it. */
  function observe(of: { stores: Stores; index: SpanIndex; clocks: Clocks }): () => void {
    const callbacks = [
      [held, result => result.observe(of.stores.heldBytes())],
      [traces, result => result.observe(of.index.traceCount)],
      [
        offset,
        result => {
          for (const { from, to, offsetNs } of of.clocks.pairs())
            result.observe(Math.round(offsetNs), { from, to })
        },
      ],
      [
        uncertainty,
        result => {
          for (const { from, to, uncertaintyNs } of of.clocks.pairs()) {
            result.observe(Math.round(uncertaintyNs), { from, to })
          }
        },
      ],
    ] satisfies [typeof held, Parameters<typeof held.addCallback>[0]][]
    for (const [gauge, callback] of callbacks) gauge.addCallback(callback)
    return () => {
      for (const [gauge, callback] of callbacks) gauge.removeCallback(callback)
    }
  }

  return {
    observe,
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
    duplicates: meter.createCounter('fullspan.association.duplicates', {
      description: 'Spans that came again and said no more, and earlier versions of spans that grew.',
    }),
    released: meter.createCounter('fullspan.association.released', {
      description:
        'Traces, or pieces of them, that left, by why: `idle` is as it should be, `max_…` means that a limit did it.',
    }),
  }
}
