import type {
  ComponentDefinition,
  ExporterDefinition,
  ExtensionDefinition,
  ProcessorDefinition,
  ReceiverDefinition,
} from './component.ts'

export type Kind = ComponentDefinition['kind']

/** All components that a config may name: what is built in, and plugins. */
export interface Registry {
  readonly definitions: readonly ComponentDefinition[]
  /** By type or alias. */
  receiver(type: string): ReceiverDefinition | undefined
  processor(type: string): ProcessorDefinition | undefined
  exporter(type: string): ExporterDefinition | undefined
  extension(type: string): ExtensionDefinition | undefined
  find(kind: Kind, type: string): ComponentDefinition | undefined
  typesOf(kind: Kind): readonly string[]
}

/** A later definition of the same kind and type replaces an earlier one. Plugins are not let in under a type that is taken. */
export function createRegistry(definitions: readonly ComponentDefinition[]): Registry {
  const byName = new Map<string, ComponentDefinition>()
  for (const definition of definitions) {
    for (const name of definition.aliases ?? []) byName.set(`${definition.kind}:${name}`, definition)
  }
  for (const definition of definitions) byName.set(`${definition.kind}:${definition.type}`, definition)
  const find = (kind: Kind, type: string): ComponentDefinition | undefined => byName.get(`${kind}:${type}`)
  const current = [...new Set(byName.values())]
  return {
    definitions: current,
    find,
    receiver: type => narrow(find('receiver', type), 'receiver'),
    processor: type => narrow(find('processor', type), 'processor'),
    exporter: type => narrow(find('exporter', type), 'exporter'),
    extension: type => narrow(find('extension', type), 'extension'),
    typesOf: kind => current.filter(each => each.kind === kind).map(each => each.type),
  }
}

function narrow<K extends Kind>(
  definition: ComponentDefinition | undefined,
  kind: K,
): Extract<ComponentDefinition, { kind: K }> | undefined {
  return definition && isKind(definition, kind) ? definition : undefined
}

function isKind<K extends Kind>(
  definition: ComponentDefinition,
  kind: K,
): definition is Extract<ComponentDefinition, { kind: K }> {
  return definition.kind === kind
}
