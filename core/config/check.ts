import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { parseDuration, parseEndpoint, parseSize } from '../units.ts'
import type { ObjectSchema, Schema } from '../schema.ts'
import { explain } from './explain.ts'
import { type ConfigNode, describe, locate } from './node.ts'
import type { Problem } from './problem.ts'

const ajv = new Ajv2020({ allErrors: true, useDefaults: true, verbose: true, strict: true, $data: false })
ajv.addKeyword({ keyword: 'secret', schemaType: 'boolean' })
ajv.addKeyword({ keyword: 'differs', schemaType: 'string' })
ajv.addFormat('duration', text => parseDuration(text) !== undefined)
ajv.addFormat('size', text => parseSize(text) !== undefined)
ajv.addFormat('endpoint', text => parseEndpoint(text) !== undefined)
ajv.addFormat('uri', text => URL.canParse(text))

const compiled = new WeakMap<ObjectSchema, ValidateFunction>()

/** What a schema makes of a config: the value with defaults, durations in ms and sizes in bytes, and all that is wrong with it. */
export interface Checked {
  readonly value: Readonly<Record<string, unknown>>
  /** The same as a config would write it: durations and sizes as text. */
  readonly written: unknown
  readonly problems: readonly Problem[]
}

/** Checks one component's part of the config. `name` is how messages call it, such as `processors.batch`. */
export function checkNode(node: ConfigNode, schema: ObjectSchema, name: string): Checked {
  const plain = toPlain(node, schema)
  const validate = compile(schema)
  if (validate(plain)) {
    return { value: toUnits(plain, schema) as Checked['value'], written: plain, problems: [] }
  }
  const problems = (validate.errors ?? []).map(error => problemOf(error, node, name))
  return { value: {}, written: plain, problems: withoutRepeats(problems) }
}

/** The same for a value that has no place in a file: what tests and plugins hand over. Throws the first problem. */
export function configOf(schema: ObjectSchema, plain: unknown = {}): Checked['value'] {
  const { value, problems } = checkNode(nodeOf(plain), schema, 'config')
  const [first] = problems
  if (first) throw new TypeError(first.message)
  return value
}

/** Why a schema cannot be used, as the rest of a sentence, or undefined. For what plugins bring. */
export function compileFault(schema: ObjectSchema): string | undefined {
  try {
    compile(schema)
    return undefined
  } catch (error) {
    return `its schema is not valid: ${error instanceof Error ? error.message : String(error)}.`
  }
}

function compile(schema: ObjectSchema): ValidateFunction {
  let validate = compiled.get(schema)
  if (!validate) {
    validate = ajv.compile(schema)
    compiled.set(schema, validate)
  }
  return validate
}

/**
 * As ajv wants it. A body that is empty is `{}`, any other empty value is as if its key were missing; numbers stand for sizes, and
 * what was substituted into a string setting is its text.
 */
function toPlain(node: ConfigNode, schema: Schema | undefined): unknown {
  if (node.kind === 'list') {
    const items = schema?.type === 'array' ? schema.items : undefined
    return node.items.map(item => toPlain(item, items))
  }
  if (node.kind === 'map') {
    const plain: Record<string, unknown> = {}
    for (const [key, { node: value }] of node.entries) {
      const inner = schema?.type === 'object' ? propertySchema(schema, key) : undefined
      if (value.kind === 'scalar' && value.value === null && inner && inner.type !== 'object') continue
      plain[key] = toPlain(value, inner)
    }
    return plain
  }
  if (schema?.type === 'object' && node.value === null) return {}
  if (schema?.type === 'string') {
    if (node.original !== undefined) return node.original
    if (schema.format === 'size' && typeof node.value === 'number') return String(node.value)
    if (schema.format === 'duration' && node.value === 0) return '0'
  }
  return node.value
}

/** The schema of one key of an object. */
export function propertySchema(schema: ObjectSchema, key: string): Schema | undefined {
  if (Object.hasOwn(schema.properties, key)) return schema.properties[key]
  return schema.additionalProperties === false ? undefined : schema.additionalProperties
}

function toUnits(value: unknown, schema: Schema | undefined): unknown {
  if (schema?.type === 'string' && typeof value === 'string') {
    if (schema.format === 'duration') return parseDuration(value)
    if (schema.format === 'size') return parseSize(value)
    return value
  }
  if (Array.isArray(value)) {
    return schema?.type === 'array' ? value.map(item => toUnits(item, schema.items)) : value
  }
  if (schema?.type === 'object' && typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, toUnits(inner, propertySchema(schema, key))]),
    )
  }
  return value
}

const unknownKey = { code: 'CONFIG_UNKNOWN_KEY' }
const invalidValue = { code: 'CONFIG_INVALID_VALUE' }

function problemOf(error: ErrorObject, root: ConfigNode, name: string): Problem {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const extra: unknown = error.params['additionalProperty']
  const found = locate(root, typeof extra === 'string' ? [...path, extra] : path)
  const where = [name, ...path].join('.')
  return {
    severity: 'error',
    ...(error.keyword === 'additionalProperties' ? unknownKey : invalidValue),
    at: typeof extra === 'string' || error.keyword === 'required' ? found.keyAt : found.node.at,
    message: explain(error, where, describe(found.node)),
  }
}

function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter(({ at, message }) => {
    const key = `${at.line}:${at.column}:${message}`
    return !seen.has(key) && seen.add(key)
  })
}

/** A plain value as a node without a place. */
function nodeOf(plain: unknown): ConfigNode {
  const at = { file: 'config', line: 1, column: 1 }
  if (Array.isArray(plain)) return { kind: 'list', at, items: plain.map(nodeOf) }
  if (typeof plain === 'object' && plain !== null) {
    const entries = new Map(
      Object.entries(plain).map(([key, value]) => [key, { keyAt: at, node: nodeOf(value) }]),
    )
    return { kind: 'map', at, entries }
  }
  const isScalar = typeof plain === 'string' || typeof plain === 'number' || typeof plain === 'boolean'
  return { kind: 'scalar', at, value: isScalar ? plain : null }
}
