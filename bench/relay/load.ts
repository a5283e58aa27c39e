/** The senders: they hold requests ready and send them over some connections. Their own process; one order after another. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createRequest } from '../requests.ts'
import { callGrpc, openGrpcSession } from './grpc-client.ts'
import { openHttpSender, type Sender } from './http-sender.ts'
import type { LoadOrder, LoadReport, Protocol } from './messages.ts'

process.on('message', (order: LoadOrder) => {
  void run(order)
})
process.once('disconnect', () => process.exit(0))

function report(message: LoadReport): void {
  process.send?.(message)
}

const requests = new Map<number, readonly Uint8Array[]>()

/** A few different requests of that many spans, made once. */
function requestsOf(spans: number): readonly Uint8Array[] {
  let list = requests.get(spans)
  if (!list)
    requests.set(spans, (list = Array.from({ length: 16 }, (_, seed) => createRequest(seed + 1, spans))))
  return list
}

const open: Readonly<Record<Protocol, (port: number) => Sender>> = {
  http: openHttpSender,
  grpc(port) {
    const session = openGrpcSession(port)
    return { send: message => callGrpc(session, message), close: () => session.destroy() }
  },
}

async function run(order: LoadOrder): Promise<void> {
  const { spansARequest, connections, warmMs, measureMs } = order
  const bodies = requestsOf(spansARequest)
  const state = { isMeasuring: false, isOver: false, accepted: 0, acceptedInAll: 0, failed: 0 }
  const latenciesMs: number[] = []
  const gapMs = order.spansPerSecond > 0 ? (1000 * spansARequest * connections) / order.spansPerSecond : 0
  const beginMs = performance.now()

  async function sendAll(number: number): Promise<void> {
    const sender = open[order.protocol](order.port)
    let nextMs = beginMs + (gapMs * number) / connections
    for (let turn = number; !state.isOver; turn++) {
      if (gapMs > 0) {
        const waitMs = nextMs - performance.now()
        nextMs += gapMs
        if (waitMs > 0) await sleep(waitMs)
      }
      const sentMs = performance.now()
      const isAccepted = await sender.send(bodies[turn % bodies.length]!)
      if (isAccepted) state.acceptedInAll += spansARequest
      if (isAccepted && state.isMeasuring) {
        state.accepted += spansARequest
        latenciesMs.push(performance.now() - sentMs)
      }
      if (isAccepted) continue
      state.failed++
      await sleep(refusedPauseMs)
    }
    sender.close()
  }

  const senders = Array.from({ length: connections }, (_, number) => sendAll(number))
  await sleep(warmMs)
  state.isMeasuring = true
  report({ kind: 'measuring' })
  await sleep(measureMs)
  state.isMeasuring = false
  state.isOver = true
  const { accepted, failed } = state
  const sorted = latenciesMs.sort((a, b) => a - b)
  const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
  report({ kind: 'measured', accepted, failed, p50Ms: quantile(0.5), p99Ms: quantile(0.99) })
  await Promise.race([Promise.all(senders), sleep(closingMs)])
  report({ kind: 'done', accepted: state.acceptedInAll })
}

/** Who was refused does not come again at once. */
const refusedPauseMs = 20
const closingMs = 2000
