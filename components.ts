import type { ComponentDefinition } from './core/component.ts'
import debug from './exporters/debug/index.ts'
import spanAssociation from './processors/span_association/index.ts'
import otlpReceiver from './receivers/otlp/index.ts'

/** What is built in: the one visible list. Folder name = `type`. */
export const components: readonly ComponentDefinition[] = [
  // receivers
  otlpReceiver,
  // processors
  spanAssociation,
  // exporters
  debug,
]
