import { createNoopMeter } from '@opentelemetry/api'
import { Observable } from 'rxjs'
import { Batch } from '../model/batch.ts'
import { systemClock } from './clock.ts'
import {
  type ComponentDefinition,
  defineExporter,
  defineReceiver,
  type Logger,
  type ProcessorDefinition,
} from './component.ts'
import { assertValid, loadConfig } from './config/load.ts'
import { startService } from './graph/service.ts'
import type { LedgerEntry } from './ledger.ts'
import { packageRoot } from './package-root.ts'

/** What a processor made of what it was given. */
export interface Trial {
  /** What it gave, in order. */
  readonly batches: readonly Batch[]
  /** The account: received + created = delivered + dropped + merged. `drops` says who dropped how many, and why. */
  readonly ledger: LedgerEntry
  /** Why it would not take batches (`onAdmission`), one reason for each of them. */
  readonly refusals: readonly string[]
  /** What was logged about it, and by it. */
  readonly log: readonly { readonly level: keyof Logger; readonly message: string; readonly fields: object }[]
}

/**
 * For a processor's tests: runs it in a real pipeline, on its own, with these settings (as a config would have them) and batches, which
 * must be of one signal, and stops the pipeline, so that it gives what it still holds. Throws FullspanError if its schema does not allow the
 * settings, or if it cannot start.
 */
export async function tryProcessor(
  definition: ProcessorDefinition,
  settings: Readonly<Record<string, unknown>>,
  batches: readonly Batch[],
): Promise<Trial> {
  const out: Batch[] = []
  const refusals: string[] = []
  const log: Trial['log'][number][] = []
  const at = (level: keyof Logger) => (fields: object, message: string) => {
    log.push({ level, message, fields })
  }
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const signal = batches[0]?.signal ?? 'traces'
  const service = await startService(
    await configOfTrial(signal, settings, [sourceOf(batches, refusals), definition, sinkInto(out)]),
    {
      clock: systemClock,
      logger,
      childLogger: () => logger,
      meter: () => createNoopMeter(),
      packageRoot: packageRoot(),
    },
  )
  const {
    ledger: [ledger],
  } = await service.stop()
  if (!ledger) throw new Error('A pipeline without a branch, which is a fault in Fullspan.')
  return { batches: out, ledger, refusals, log }
}

/** JSON is YAML; `$` would be a reference. */
async function configOfTrial(
  signal: string,
  settings: object,
  components: readonly [ComponentDefinition, ComponentDefinition, ComponentDefinition],
) {
  const [source, { type }, sink] = components
  const written = {
    receivers: { [source.type]: {} },
    processors: { [type]: settings },
    exporters: { [sink.type]: {} },
    service: {
      processor_queue_size: 1_000_000,
      pipelines: { [signal]: { receivers: [source.type], processors: [type], exporters: [sink.type] } },
    },
  }
  const text = JSON.stringify(written).replaceAll('$', '$$$$')
  const { config, problems } = await loadConfig({ files: [`yaml:${text}`], components, env: {} })
  assertValid(problems)
  return config
}

const common = {
  description: 'For trials.',
  stability: 'stable',
  signals: ['traces', 'metrics', 'logs', 'profiles'],
  schema: { type: 'object', additionalProperties: false, properties: {} },
} as const

function sourceOf(batches: readonly Batch[], refusals: string[]) {
  return defineReceiver({
    ...common,
    type: 'trial_source',
    create: (_config, { intake }) =>
      new Observable(output => {
        for (const batch of batches) {
          output.next(
            intake(origin => Batch.ofRequest(batch.signal, batch.encode(), batch.items, origin), {
              answer: answer => {
                if (answer.kind === 'refused') refusals.push(answer.reason)
              },
            }),
          )
        }
        output.complete()
      }),
  })
}

function sinkInto(batches: Batch[]) {
  return defineExporter({
    ...common,
    type: 'trial_sink',
    create: () => batch => {
      batches.push(batch)
      return Promise.resolve()
    },
  })
}
