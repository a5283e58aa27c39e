import type { ComponentDefinition } from './core/component.ts'
import otlpReceiver from './receivers/otlp/index.ts'

/** What is built in: the one visible list. Folder name = `type`. */
export const components: readonly ComponentDefinition[] = [otlpReceiver]
