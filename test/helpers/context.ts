import { createNoopMeter } from '@opentelemetry/api'
import type { Observable } from 'rxjs'
import { systemClock } from '../../core/clock.ts'
import type {
  Answer,
  ComponentContext,
  ExporterContext,
  Intake,
  ReceiverContext,
} from '../../core/component.ts'
import type { Batch, Signal } from '../../model/batch.ts'
import { type LogLine, recordingLogger } from './environment.ts'

/** A component's context without core: what is logged is kept, the clock is the wall's. */
export function fakeContext(id: string): {
  context: ComponentContext
  log: LogLine[]
  stop: () => void
} {
  const logger = recordingLogger()
  const stopping = new AbortController()
  const context: ComponentContext = {
    id,
    logger,
    meter: createNoopMeter(),
    clock: systemClock,
    stopping: stopping.signal,
    getExtension: extensionId => {
      throw new Error(`no extension ${extensionId}`)
    },
    peers: { get: () => undefined, set: () => undefined },
    ownPorts: [],
    packageRoot: process.cwd(),
  }
  return { context, log: logger.lines, stop: () => stopping.abort() }
}

export interface ReceiverBench {
  readonly context: ReceiverContext
  /** What was taken in, in order; also what was refused by `answer`. */
  readonly intakes: Intake[]
  readonly peers: (string | undefined)[]
  readonly refused: { signal: Signal; items: number; reason: string }[]
  readonly log: LogLine[]
  /** Subscribes, and resolves when the source completes. */
  run(intake$: Observable<Intake>): Promise<void>
  stop(): void
}

/** A receiver's context without core: every intake is answered by `answer`, accepted unless it says otherwise. */
export function receiverBench(
  options: {
    id?: string
    signals?: readonly Signal[]
    answer?: (batch: Batch) => Answer | Promise<Answer>
  } = {},
): ReceiverBench {
  const { context, log, stop } = fakeContext(options.id ?? 'receiver')
  const intakes: Intake[] = []
  const peers: (string | undefined)[] = []
  const refused: { signal: Signal; items: number; reason: string }[] = []
  const answers = new Map<Intake, ((answer: Answer) => void) | undefined>()
  let nextId = 1
  const receiver: ReceiverContext = {
    ...context,
    signals: options.signals ?? ['traces', 'metrics', 'logs', 'profiles'],
    intake(build, { answer, peer } = {}) {
      const origin = { id: nextId++, peer }
      const intake = { ...origin, batch: build(origin) }
      answers.set(intake, answer)
      return intake
    },
    refuse: (signal, items, reason) => void refused.push({ signal, items, reason }),
  }
  const take = async (intake: Intake) => {
    intakes.push(intake)
    peers.push(intake.peer)
    const answer = (await options.answer?.(intake.batch)) ?? { kind: 'accepted' }
    answers.get(intake)?.(answer)
  }
  return {
    context: receiver,
    intakes,
    peers,
    refused,
    log,
    stop,
    run: intake$ =>
      new Promise((resolve, reject) => {
        intake$.subscribe({ next: intake => void take(intake), complete: resolve, error: reject })
      }),
  }
}

/** An exporter's context without core. */
export function exporterBench(id = 'exporter'): {
  context: ExporterContext
  dropped: { batch: Batch; items: number; reason: string }[]
  log: LogLine[]
  stop: () => void
} {
  const { context, log, stop } = fakeContext(id)
  const dropped: { batch: Batch; items: number; reason: string }[] = []
  const drop = (batch: Batch, items: number, reason: string) => void dropped.push({ batch, items, reason })
  return { context: { ...context, drop }, dropped, log, stop }
}
