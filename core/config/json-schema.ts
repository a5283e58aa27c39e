import type { ComponentDefinition } from '../component.ts'
import type { Kind } from '../registry.ts'
import type { Schema } from '../schema.ts'
import { fullSchema } from './core-keys.ts'
import { serviceSchema } from './service-schema.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** A reference stands where the schema wants a number or one of a few words. */
const reference = { type: 'string', pattern: '\\$\\{.+\\}' }
const durationPattern = '^(0|(\\d+(\\.\\d+)?(ns|us|µs|ms|s|m|h))+)$'

/** The JSON Schema of a whole config, for editors: what is built in, and plugins that were given. */
export function wholeSchema(definitions: readonly ComponentDefinition[]): JsonSchema {
  const section = (kind: Kind, description: string): JsonSchema => ({
    type: ['object', 'null'],
    description,
    additionalProperties: false,
    patternProperties: Object.fromEntries(
      definitions
        .filter(each => each.kind === kind)
        .flatMap(each => [each.type, ...(each.aliases ?? [])].map(name => [name, each] as const))
        .map(([name, each]) => [`^${name}(/.+)?$`, componentSchema(each)]),
    ),
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Fullspan config',
    type: 'object',
    additionalProperties: false,
    required: ['service'],
    properties: {
      $schema: { type: 'string', description: 'Where this schema lies, for editors.' },
      plugins: {
        type: 'array',
        items: { type: 'string' },
        description: 'Files and packages that bring more components.',
      },
      receivers: section('receiver', 'Where data comes from, by `type` or `type/name`.'),
      processors: section('processor', 'What is done with it, by `type` or `type/name`.'),
      exporters: section('exporter', 'Where it goes, by `type` or `type/name`.'),
      extensions: section('extension', 'What is no part of the flow, by `type` or `type/name`.'),
      service: editorSchema(serviceSchema),
    },
  }
}

function componentSchema(definition: ComponentDefinition): JsonSchema {
  return { ...editorSchema(fullSchema(definition)), description: definition.description }
}

/** Without the words that only Fullspan knows; an empty body and references are allowed. */
function editorSchema(schema: Schema): JsonSchema {
  const plain = without(schema, ['secret', 'format', 'differs'])
  if (schema.type === 'object') {
    const { additionalProperties: more, properties } = schema
    return {
      ...plain,
      type: ['object', 'null'],
      additionalProperties: more === false ? false : editorSchema(more),
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, each]) => [key, editorSchema(each)]),
      ),
    }
  }
  if (schema.type === 'array') return { ...plain, items: editorSchema(schema.items) }
  const { description, default: fallback, ...rest } = plain
  const notes = {
    ...(description !== undefined && { description }),
    ...(fallback !== undefined && { default: fallback }),
  }
  if (schema.type !== 'string') return { ...notes, anyOf: [rest, reference] }
  if (schema.format === 'duration') {
    return { ...notes, anyOf: [{ ...rest, pattern: durationPattern }, reference] }
  }
  if (schema.format === 'size') return { ...notes, ...rest, type: ['string', 'integer'] }
  const isPlainText = !schema.enum && schema.pattern === undefined
  return isPlainText ? { ...notes, ...rest } : { ...notes, anyOf: [rest, reference] }
}

function without(schema: Schema, keys: readonly string[]): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.includes(key)))
}
