const types = ['object', 'string', 'number', 'integer', 'boolean', 'array']

/**
 * What is wrong with a schema that a plugin brings, as the rest of a sentence, or undefined. Only the part of JSON Schema in core/schema.ts
 * is allowed: anything else would pass the check of a config without the effect that its writer expects.
 */
export function schemaFault(schema: unknown, path = 'schema'): string | undefined {
  if (!isMap(schema)) return `${path} must be a map, but is ${shown(schema)}.`
  const { type } = schema
  if (typeof type !== 'string' || !types.includes(type)) {
    return `${path}.type must be one of ${types.join(', ')}, but is ${shown(type)}.`
  }
  if (type === 'array') return schemaFault(schema['items'], `${path}.items`)
  if (type !== 'object') return undefined
  const { properties, additionalProperties: more } = schema
  if (!isMap(properties)) return `${path}.properties must be a map, but is ${shown(properties)}.`
  if (more !== false && !isMap(more)) {
    return `${path}.additionalProperties must be false, or the schema of all other keys, but is ${shown(more)}.`
  }
  for (const [key, inner] of Object.entries(properties)) {
    const fault = schemaFault(inner, `${path}.properties.${key}`)
    if (fault !== undefined) return fault
  }
  return more === false ? undefined : schemaFault(more, `${path}.additionalProperties`)
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value)
}
