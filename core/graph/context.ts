import type { Meter } from '@opentelemetry/api'
import type { Clock } from '../clock.ts'
import type { ComponentContext, Logger, Owner, Peers } from '../component.ts'
import { FullspanError } from '../errors.ts'

/** What core itself is given: everything that differs between a run, a replay and a test. */
export interface Environment {
  readonly clock: Clock
  readonly logger: Logger
  /** A logger whose lines carry these fields. */
  childLogger(fields: Readonly<Record<string, string>>): Logger
  meter(componentId: string): Meter
  readonly packageRoot: string
  readonly owner?: Owner | undefined
  /** 0 to 1, for jitter. */
  readonly random?: () => number
}

/** What all components of one run share. */
export interface Shared {
  readonly environment: Environment
  readonly peers: Peers
  readonly ownPorts: readonly number[]
  readonly extensions: ReadonlyMap<string, unknown>
  readonly stopping: AbortSignal
  /** True once the pipelines have been told that nothing more comes. */
  isClosed: boolean
}

export function componentContext(
  shared: Shared,
  id: string,
  fields: Readonly<Record<string, string>>,
): ComponentContext {
  const { environment, peers, ownPorts, extensions, stopping } = shared
  return {
    id,
    logger: environment.childLogger({ component: id, ...fields }),
    meter: environment.meter(id),
    clock: environment.clock,
    stopping,
    peers,
    ownPorts,
    packageRoot: environment.packageRoot,
    owner: environment.owner,
    getExtension(extensionId) {
      if (extensions.has(extensionId)) return extensions.get(extensionId)
      throw new FullspanError({
        code: 'SERVICE_NO_EXTENSION',
        remedy: 'fix-config',
        message: `${id} needs the extension "${extensionId}", which does not run. Add it to service.extensions.`,
      })
    },
  }
}
