import type { Export, ExporterContext, ExporterDefinition } from '../component.ts'
import type { Configured } from '../config/resolve.ts'
import { Delivery } from '../delivery/delivery.ts'
import { deliverySettings } from '../delivery/schema.ts'
import type { Settlement } from '../settlement.ts'
import { componentContext, type Shared } from './context.ts'
import { createComponent, hasMethod, isFunction } from './create-component.ts'

export interface RunningExporter {
  readonly id: string
  readonly type: string
  readonly delivery: Delivery
  close(): Promise<void>
}

/** One instance per id, whichever pipelines feed it. */
export async function startExporter(
  { id, definition, settings }: Configured<ExporterDefinition>,
  shared: Shared,
  settlement: Settlement,
): Promise<RunningExporter> {
  const base = componentContext(shared, id, { kind: 'exporter' })
  const context: ExporterContext = {
    ...base,
    drop: (batch, items, reason) => delivery.reject(batch, items, reason),
  }
  const made = await createComponent(base, () => definition.create(settings, context), {
    isRight: each => isFunction(each) || (hasMethod(each, 'export') && hasMethod(each, 'close')),
    expected: 'a function or { export, close }',
  })
  const send: Export = typeof made === 'function' ? made : (batch, cancelled) => made.export(batch, cancelled)
  const { random } = shared.environment
  const delivery = new Delivery({
    id,
    export: send,
    settings: deliverySettings(settings),
    settlement,
    clock: base.clock,
    logger: base.logger,
    ...(random && { random }),
  })
  const close = typeof made === 'function' ? () => Promise.resolve() : () => made.close()
  return { id, type: definition.type, delivery, close }
}
