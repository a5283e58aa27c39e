import { setTimeout as sleep } from 'node:timers/promises'
import { type RunningRelay, startHelper } from './child.ts'
import type { LoadOrder, LoadReport, SinkReport } from './messages.ts'

/** One run of one relay. */
export interface Measured {
  readonly spansPerSecond: number
  readonly spansPerCpuSecond: number
  /** Share of one core, 0 to 1. */
  readonly cpu: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
  /** In RAM at its end. */
  readonly memoryMiB: number
}

/** Senders on one side and a back end on the other. */
export interface Stand {
  /** Ports of the back end. */
  readonly sink: { readonly http: number; readonly grpc: number }
  measure(relay: RunningRelay, load: Omit<LoadOrder, 'port'>): Promise<Measured>
  stop(): Promise<void>
}

export async function createStand(): Promise<Stand> {
  const sink = startHelper<object, SinkReport>(new URL('./sink.js', import.meta.url))
  const senders = startHelper<LoadOrder, LoadReport>(new URL('./load.js', import.meta.url))
  const listening = await sink.next()
  if (listening.kind !== 'listening') throw new Error('The sink did not say where it listens.')

  const arrived = async (): Promise<number> => {
    sink.send({})
    const report = await sink.next()
    return report.kind === 'count' ? report.spans : 0
  }
  /** Until nothing more comes: a batch waits for up to 200 ms. */
  const drained = async (): Promise<number> => {
    for (let before = -1, now = await arrived(); ; before = now, now = await arrived()) {
      if (now === before) return now
      await sleep(300)
    }
  }
  return {
    sink: listening,
    async measure(relay, load) {
      const before = await arrived()
      senders.send({ ...load, port: relay.port })
      await senders.next()
      const beginMs = performance.now()
      const cpuBegin = relay.cpuSeconds()
      const report = await senders.next()
      const cpuSeconds = relay.cpuSeconds() - cpuBegin
      const seconds = (performance.now() - beginMs) / 1000
      if (report.kind !== 'measured') throw new Error('The senders did not say what they sent.')
      const memoryMiB = relay.memoryMiB().now
      const done = await senders.next()
      const came = (await drained()) - before
      if (done.kind !== 'done' || came !== done.accepted) {
        throw new Error(
          `${relay.name} has delivered ${came} spans, and this is what it accepted: ${JSON.stringify({ ...done, ...report })}.\n${relay.said()}`,
        )
      }
      const { accepted, failed, p50Ms, p99Ms } = report
      return {
        spansPerSecond: accepted / seconds,
        spansPerCpuSecond: accepted / cpuSeconds,
        cpu: cpuSeconds / seconds,
        p50Ms,
        p99Ms,
        failed,
        memoryMiB,
      }
    },
    async stop() {
      await Promise.all([sink.stop(), senders.stop()])
    },
  }
}
