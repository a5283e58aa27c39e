import type { ComponentDefinition } from '../component.ts'
import type { ObjectSchema, Schema } from '../schema.ts'

/** Settings that every receiver has, because core reads them. */
export const receiverKeys = {
  when_unavailable: {
    type: 'string',
    enum: ['fail', 'warn'],
    default: 'fail',
    description:
      'What happens if it cannot start: `fail` stops the start, `warn` says so and lets the rest run.',
  },
} as const satisfies Readonly<Record<string, Schema>>

const schemas = new WeakMap<ComponentDefinition, ObjectSchema>()

/** A component's schema with the settings that core adds. */
export function fullSchema(definition: ComponentDefinition): ObjectSchema {
  if (definition.kind !== 'receiver') return definition.schema
  let schema = schemas.get(definition)
  if (!schema) {
    const properties = { ...definition.schema.properties, ...receiverKeys }
    schema = { ...definition.schema, properties }
    schemas.set(definition, schema)
  }
  return schema
}
