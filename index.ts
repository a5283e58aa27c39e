/** What a plugin may import from 'fullspan'. */
export * from './core/component.ts'
export { FullspanError, type Remedy } from './core/errors.ts'
export type { Clock } from './core/clock.ts'
export { Batch, groupSpans, type Origin, type Signal, type SpanGroup } from './model/batch.ts'
export { createResource, createScope, Envelope } from './model/resource.ts'
export * from './model/span.ts'
export type { AttributeValue, Attributes } from './model/attributes.ts'
