import type { ErrorObject } from 'ajv/dist/2020.js'
import { suggestion } from './nearest.ts'

/** One sentence about what the schema does not allow: where, what is expected, what was found. */
export function explain(error: ErrorObject, where: string, found: string): string {
  const params: Readonly<Record<string, unknown>> = error.params
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty'])
      const known = (error.parentSchema as { properties?: object } | undefined)?.properties ?? {}
      return `${where} has no setting "${key}".${suggestion(key, Object.keys(known))}`
    }
    case 'required':
      return `${where} needs the setting "${String(params['missingProperty'])}".`
    case 'type':
      return `${where} must be ${typeWords(error)}, but is ${found}.`
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String)
      const text = /^"(.*)"$/.exec(found)?.[1] ?? found
      const hint = suggestion(text, allowed)
      const list = hint.startsWith(' Did') ? `${hint} Allowed: ${allowed.join(', ')}.` : hint
      return `${where} cannot be ${found}.${list}`
    }
    case 'format':
      return `${where} must be ${formatWords[String(params['format'])] ?? `a ${String(params['format'])}`}, but is ${found}.`
    case 'minimum':
      return `${where} must be at least ${String(params['limit'])}, but is ${found}.`
    case 'exclusiveMinimum':
      return `${where} must be more than ${String(params['limit'])}, but is ${found}.`
    case 'maximum':
      return `${where} must be at most ${String(params['limit'])}, but is ${found}.`
    case 'minItems':
      return `${where} must have at least ${String(params['limit'])} item(s).`
    case 'minLength':
      return `${where} must not be empty.`
    case 'uniqueItems':
      return `${where} has the same item twice.`
    case 'pattern':
      return `${where} must match ${String(params['pattern'])}, but is ${found}.`
    default:
      return `${where} ${error.message ?? 'is not valid'}, but is ${found}.`
  }
}

function typeWords(error: ErrorObject): string {
  const schema = error.parentSchema as { format?: string } | undefined
  const words = formatWords[schema?.format ?? '']
  if (words !== undefined) return words
  switch (String(error.params['type'])) {
    case 'object':
      return 'a map'
    case 'array':
      return 'a list'
    case 'integer':
      return 'a whole number'
    case 'boolean':
      return 'true or false'
    case 'string':
      return 'a text (in quotes)'
    default:
      return `a ${String(error.params['type'])}`
  }
}

const formatWords: Readonly<Record<string, string>> = {
  duration: 'a duration such as "200ms", "5s" or "1m30s"',
  size: 'a size such as "4MiB" or 4_194_304',
  endpoint: 'an address such as "localhost:4317"',
  uri: 'a URL such as "https://host:4318"',
}
