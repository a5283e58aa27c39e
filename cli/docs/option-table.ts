import type { ObjectSchema, Schema } from '../../core/schema.ts'

/** One setting with its place, as in `rotation.max_backups`. */
export interface Option {
  readonly path: string
  readonly schema: Schema
  readonly isRequired: boolean
}

/** All settings, nested ones after the block they are in. */
export function optionsOf(schema: ObjectSchema, prefix = ''): Option[] {
  return Object.entries(schema.properties).flatMap(([key, each]) => {
    const path = prefix + key
    const isRequired = schema.required?.includes(key) ?? false
    return [{ path, schema: each, isRequired }, ...nestedOptions(each, path)]
  })
}

function nestedOptions(schema: Schema, path: string): Option[] {
  if (schema.type === 'array') return nestedOptions(schema.items, `${path}[]`)
  if (schema.type !== 'object') return []
  const { additionalProperties: more } = schema
  const others = more === false ? [] : nestedOptions(more, `${path}.<name>`)
  return [...optionsOf(schema, `${path}.`), ...others]
}

/** A Markdown table of all settings. */
export function optionTable(schema: ObjectSchema): string {
  const options = optionsOf(schema)
  if (options.length === 0) return 'No settings.\n'
  const rows = options.map(option => row(option))
  return ['| setting | type | default | |', '| --- | --- | --- | --- |', ...rows, ''].join('\n')
}

function row({ path, schema, isRequired }: Option): string {
  const notes = 'secret' in schema && schema.secret ? ' Never printed.' : ''
  const cells = [
    `\`${path}\``,
    typeOf(schema),
    defaultOf(schema, isRequired),
    (schema.description ?? '') + notes,
  ]
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function typeOf(schema: Schema): string {
  switch (schema.type) {
    case 'array':
      return `list of ${typeOf(schema.items)}`
    case 'object':
      return 'map'
    case 'string':
      return schema.enum ? schema.enum.map(each => `\`${each}\``).join(' ') : (schema.format ?? 'text')
    case 'integer':
    case 'number':
      return schema.type + range(schema)
    case 'boolean':
      return 'boolean'
  }
}

function range({
  minimum,
  maximum,
  exclusiveMinimum,
}: Extract<Schema, { type: 'number' | 'integer' }>): string {
  if (minimum !== undefined && maximum !== undefined) return ` ${minimum} to ${maximum}`
  if (minimum !== undefined) return ` ≥ ${minimum}`
  if (exclusiveMinimum !== undefined) return ` > ${exclusiveMinimum}`
  return maximum === undefined ? '' : ` ≤ ${maximum}`
}

function defaultOf(schema: Schema, isRequired: boolean): string {
  if (isRequired) return 'required'
  if (schema.default === undefined) return schema.type === 'object' ? 'absent' : ''
  if (schema.type === 'object') return ''
  return `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``
}
