import type { ComponentDefinition } from '../component.ts'
import { compileFault } from '../config/check.ts'
import { fullSchema } from '../config/core-keys.ts'
import { schemaFault } from './check-schema.ts'

const kinds = ['receiver', 'processor', 'exporter', 'extension']
const signals = ['traces', 'metrics', 'logs', 'profiles']

/** The value as a component, or what keeps it from being one, as the rest of a sentence. JavaScript has no compiler that tells. */
export function checkDefinition(value: unknown): ComponentDefinition | string {
  if (typeof value !== 'object' || value === null || !('kind' in value)) {
    return 'its default export is not made by defineReceiver, defineProcessor, defineExporter or defineExtension.'
  }
  const fault = definitionFault(value)
  if (fault !== undefined) return fault
  const definition = value as ComponentDefinition
  return compileFault(fullSchema(definition)) ?? definition
}

function definitionFault(value: Partial<Readonly<Record<keyof ComponentDefinition | 'signals', unknown>>>) {
  const { kind, type, description, create } = value
  const says = (key: string, rule: string, found: unknown) =>
    `its ${key} must be ${rule}, but is ${found === undefined ? 'missing' : JSON.stringify(found)}.`
  if (!kinds.some(each => each === kind)) return says('kind', `one of ${kinds.join(', ')}`, kind)
  if (typeof type !== 'string' || !/^[A-Za-z]\w*$/.test(type)) {
    return says('type', 'a word of letters, digits and underscores', type)
  }
  if (typeof description !== 'string') return says('description', 'a sentence', description)
  if (typeof create !== 'function') return says('create', 'a function', create)
  if (kind !== 'extension' && !areSignals(value.signals)) {
    return says('signals', `a list of some of ${signals.join(', ')}`, value.signals)
  }
  const fault = schemaFault(value.schema)
  return fault === undefined ? undefined : `its ${fault}`
}

function areSignals(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length > 0 && value.every(each => signals.some(known => known === each))
  )
}
