import type { CaptureEvent } from '../../flow/events.ts'

export interface Progress {
  see(events: readonly CaptureEvent[]): void
  /** A line of the probe's. */
  say(line: string): void
  summary(): string
  /** Takes the moving line away. */
  clear(): void
  end(line: string): void
}

const redrawEveryMs = 250

/** On a terminal one line that moves; elsewhere only what is said, and the end. */
export function createProgress(to: NodeJS.WriteStream): Progress {
  const startMs = performance.now()
  const counts = { data: 0, packets: 0, lost: 0 }
  let drawnMs = -Infinity
  const summary = (): string =>
    `${counts.data} sends and receives, ${counts.packets} packets in ${((performance.now() - startMs) / 1000).toFixed(1)} s` +
    (counts.lost > 0 ? `; ${counts.lost} events lost` : '')
  const clear = (): void => {
    if (to.isTTY && drawnMs > 0) to.write('\r\x1b[K')
  }
  return {
    see(events) {
      for (const event of events) {
        if (event.type === 'socket_data') counts.data++
        else if (event.type === 'packet') counts.packets++
        else if (event.type === 'loss') counts.lost += lostOf(event.reasons)
      }
      if (!to.isTTY || performance.now() - drawnMs < redrawEveryMs) return
      drawnMs = performance.now()
      to.write(`\r\x1b[K${summary()} (Ctrl-C ends)`)
    },
    say(line) {
      clear()
      to.write(`${line}\n`)
    },
    summary,
    clear,
    end(line) {
      clear()
      to.write(`${line}\n`)
    },
  }
}

/** A payload fault is no loss of an event. */
function lostOf(reasons: Readonly<Record<string, number>>): number {
  return Object.entries(reasons).reduce(
    (sum, [reason, count]) => (reason === 'payload_fault' ? sum : sum + count),
    0,
  )
}
