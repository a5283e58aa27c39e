/**
 * What a plugin may import from 'fullspan': always this, the running instance's own, wherever the plugin lies. See docs/plugins.md.
 *
 * Nothing else is public: a path into the package may change with any version.
 */

// A component: its declaration, what core hands to it, what it hands to core.
export * from './core/component.ts'
export type { Infer, ObjectSchema, Schema } from './core/schema.ts'
export type { Clock } from './core/clock.ts'
export { FullspanError, type Remedy } from './core/errors.ts'

// Processors that look at one span after the other, and their tests.
export { filterSpans } from './core/filter-spans.ts'
export { mapSpans } from './core/map-spans.ts'
export { type Trial, tryProcessor } from './core/try-processor.ts'

// Exporters: the settings of queue, retries and time limit, which core acts on, and those of TLS.
export { deliverySchema } from './core/delivery/schema.ts'
export { type ClientTls, clientTlsSchema, readClientTls } from './core/delivery/tls.ts'

// A log line for what may happen with every batch.
export { occasionally } from './core/log-rate.ts'

// What flows: batches of spans, or of untouched requests.
export { Batch, groupSpans, type Origin, type Signal, type SpanGroup } from './model/batch.ts'
export { createResource, createScope, Envelope } from './model/resource.ts'
export * from './model/span.ts'
export type { Attributes, AttributeValue } from './model/attributes.ts'
export { names as attributeNames } from './model/attribute-names.ts'
