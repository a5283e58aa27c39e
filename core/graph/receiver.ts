import { type Observable, type Subscription } from 'rxjs'
import type { Batch, Origin, Signal } from '../../model/batch.ts'
import type { Intake, ReceiverContext, ReceiverDefinition } from '../component.ts'
import type { Configured } from '../config/resolve.ts'
import { occasionally } from '../log-rate.ts'
import type { IntakeAccount, Settlement } from '../settlement.ts'
import { offerTo } from './admission.ts'
import { componentContext, type Shared } from './context.ts'
import { createComponent, hasMethod } from './create-component.ts'
import type { Pipeline } from './pipeline.ts'

export interface RunningReceiver {
  readonly id: string
  readonly type: string
  readonly stats: ReadonlyMap<Signal, ReceiverStats>
  /** From here on batches flow. */
  subscribe(): void
  /** Resolves when the stream has completed. The `stopping` signal tells the receiver to. */
  readonly completed: Promise<void>
  unsubscribe(): void
}

export interface ReceiverStats {
  accepted: number
  refused: number
  /** Broken input, which never became a batch. */
  failed: number
}

const firstRestartMs = 1000
const longestRestartMs = 30_000

interface Options {
  readonly receiver: Configured<ReceiverDefinition>
  readonly routes: ReadonlyMap<Signal, readonly Pipeline[]>
  readonly shared: Shared
  readonly settlement: Settlement
}

/** One instance per id. If its stream fails it is made anew, later and later, until the service stops. */
export async function startReceiver(options: Options): Promise<RunningReceiver> {
  const { receiver, routes, shared, settlement } = options
  const { id, definition, settings } = receiver
  const base = componentContext(shared, id, { kind: 'receiver' })
  const { logger, clock } = base
  const say = occasionally(logger, clock)
  const stats = new Map<Signal, ReceiverStats>()
  for (const signal of definition.signals) stats.set(signal, { accepted: 0, refused: 0, failed: 0 })
  const statsOf = (signal: Signal): ReceiverStats => {
    let entry = stats.get(signal)
    if (!entry) stats.set(signal, (entry = { accepted: 0, refused: 0, failed: 0 }))
    return entry
  }
  const context: ReceiverContext = {
    ...base,
    signals: [...routes.keys()],
    intake(build, { answer, peer } = {}) {
      const account = settlement.create(id, peer, answer && (given => safely(() => answer(given))))
      return new OpenIntake(account, build(account))
    },
    refuse(signal, items, reason) {
      statsOf(signal).failed += items
      say.warn({ signal, items, reason }, `refused broken input: ${reason}`)
    },
  }
  const safely = (call: () => void): void => {
    try {
      call()
    } catch (error) {
      logger.error({ err: error }, 'failed to answer its sender')
    }
  }
  const offer = offerTo({ routes, settlement, statsOf, shared })
  const take = (intake: Intake): void => {
    if (intake instanceof OpenIntake) offer(intake.account, intake.batch)
    else say.error({}, 'emitted an intake that was not made by context.intake, which is dropped')
  }

  const create = (): Promise<Observable<Intake>> =>
    createComponent(base, () => definition.create(settings, context), {
      isRight: each => hasMethod(each, 'subscribe'),
      expected: 'an Observable',
    })
  return { id, type: definition.type, stats, ...superviseStream(await create(), create, take, base) }
}

/** What `context.intake` gives: only core sees its account. */
class OpenIntake implements Intake, Origin {
  readonly id: number
  readonly peer: string | undefined
  readonly batch: Batch
  readonly account: IntakeAccount

  constructor(account: IntakeAccount, batch: Batch) {
    this.id = account.id
    this.peer = account.peer
    this.batch = batch
    this.account = account
  }
}

function superviseStream(
  first$: Observable<Intake>,
  create: () => Promise<Observable<Intake>>,
  take: (intake: Intake) => void,
  { logger, clock, stopping }: Pick<ReceiverContext, 'logger' | 'clock' | 'stopping'>,
): Pick<RunningReceiver, 'subscribe' | 'unsubscribe' | 'completed'> {
  let subscription: Subscription | undefined
  let delayMs = firstRestartMs
  let cancelRestart: (() => void) | undefined
  let complete: () => void = () => undefined
  const completed = new Promise<void>(resolve => (complete = resolve))

  const run = (stream$: Observable<Intake>): void => {
    subscription = stream$.subscribe({
      next: intake => {
        delayMs = firstRestartMs
        take(intake)
      },
      error: restartAfter,
      complete: () => {
        if (!stopping.aborted) logger.info({}, 'has come to its end')
        complete()
      },
    })
  }
  const restartAfter = (error: unknown): void => {
    if (stopping.aborted) return complete()
    logger.error({ err: error, delayMs }, 'failed; it is started anew')
    cancelRestart = clock.after(delayMs, () => {
      delayMs = Math.min(delayMs * 2, longestRestartMs)
      if (!stopping.aborted) create().then(run, restartAfter)
    })
  }
  stopping.addEventListener('abort', () => {
    if (cancelRestart === undefined || subscription?.closed !== true) return
    cancelRestart()
    complete()
  })
  return {
    completed,
    subscribe: () => run(first$),
    unsubscribe() {
      subscription?.unsubscribe()
      cancelRestart?.()
      complete()
    },
  }
}
