import { createNoopMeter } from '@opentelemetry/api'
import { systemClock, type Clock } from '../../core/clock.ts'
import type { ComponentDefinition, Logger } from '../../core/component.ts'
import { assertValid, loadConfig } from '../../core/config/load.ts'
import type { Config } from '../../core/config/resolve.ts'
import type { Environment } from '../../core/graph/context.ts'
import { packageRoot } from '../../core/package-root.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

/** A logger that remembers. */
export function recordingLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** What core is given in tests; the log can be read. */
export function testEnvironment(clock: Clock = systemClock): Environment & { readonly lines: LogLine[] } {
  const logger = recordingLogger()
  return {
    clock,
    logger,
    lines: logger.lines,
    childLogger: fields => ({
      debug: (more, message) => logger.debug({ ...fields, ...more }, message),
      info: (more, message) => logger.info({ ...fields, ...more }, message),
      warn: (more, message) => logger.warn({ ...fields, ...more }, message),
      error: (more, message) => logger.error({ ...fields, ...more }, message),
    }),
    meter: () => createNoopMeter(),
    packageRoot: packageRoot(),
    random: () => 0.5,
  }
}

/** A config from YAML; throws with all its problems. */
export async function configFrom(text: string, components: readonly ComponentDefinition[]): Promise<Config> {
  const { config, problems } = await loadConfig({ files: [`yaml:${text}`], components, env: {} })
  assertValid(problems)
  return config
}
