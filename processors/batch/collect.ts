import { Observable, type Subscriber } from 'rxjs'
import type { Clock } from '../../core/clock.ts'
import { Batch } from '../../model/batch.ts'

/** Why a batch left; `end` when the source completed. */
export type Trigger = 'size' | 'timeout' | 'end'

export interface CollectOptions {
  readonly timeoutMs: number
  /** Items at which a batch leaves. */
  readonly size: number
  /** Items that no batch exceeds; 0 for no limit. */
  readonly maximum: number
  readonly clock: Pick<Clock, 'after'>
  readonly onSend?: (batch: Batch, trigger: Trigger) => void
}

/**
 * Batches in, merged batches out, all of one signal, in order. One that came whole leaves whole, unless it alone is larger than
 * `maximum`. What is there when the source completes leaves then; when it fails, it is gone.
 */
export function collect(options: CollectOptions): (input$: Observable<Batch>) => Observable<Batch> {
  return input$ => new Observable(output => input$.subscribe(collector(options, output)))
}

function collector(options: CollectOptions, output: Subscriber<Batch>) {
  const { timeoutMs, size, maximum, clock, onSend } = options
  let parts: Batch[] = []
  let items = 0
  let stopTimer: (() => void) | undefined

  const send = (trigger: Trigger): void => {
    stopTimer?.()
    stopTimer = undefined
    if (parts.length === 0) return
    const merged = Batch.merge(parts)
    parts = []
    items = 0
    for (const batch of maximum > 0 ? merged.split(maximum) : [merged]) {
      onSend?.(batch, trigger)
      output.next(batch)
    }
  }
  output.add(() => stopTimer?.())
  return {
    next(batch: Batch): void {
      if (batch.items === 0) return
      if (maximum > 0 && items > 0 && items + batch.items > maximum) send('size')
      parts.push(batch)
      items += batch.items
      if (items >= size || timeoutMs === 0) send(timeoutMs === 0 ? 'timeout' : 'size')
      else stopTimer ??= clock.after(timeoutMs, () => send('timeout'))
    },
    error: (error: unknown) => output.error(error),
    complete(): void {
      send('end')
      output.complete()
    },
  }
}
