import { defineProcessor } from '../../core/component.ts'
import { holdTraces } from './hold.ts'
import { schema } from './schema.ts'

/**
 * Joins APP, SYS and NET spans into whole traces (design §8). Takes spans in any order, holds them until their trace is
 * finished, and emits each trace as one batch; what comes later joins by remembered keys and leaves as a batch of its own.
 */
export default defineProcessor({
  type: 'span_association',
  description: 'Joins APP, SYS and NET spans of a request into one trace, and says by which rule.',
  stability: 'alpha',
  signals: ['traces'],
  schema,
  create: (config, context) => ({ operator: holdTraces(config, context) }),
})
