import type { Signal } from '../../model/batch.ts'
import type {
  Complaint,
  ComponentDefinition,
  ExporterDefinition,
  ExtensionDefinition,
  ProcessorDefinition,
  ReceiverDefinition,
} from '../component.ts'
import { messageWithPlace } from '../plugins/place-of.ts'
import type { Kind, Registry } from '../registry.ts'
import type { Settings } from '../schema.ts'
import { checkNode } from './check.ts'
import { fullSchema } from './core-keys.ts'
import { suggestion } from './nearest.ts'
import { type ConfigNode, describe, emptyMap, type Entry, locate, type MapNode } from './node.ts'
import type { Position, Problem } from './problem.ts'
import { type PipelineConfig, resolvePipelines } from './pipelines.ts'
import { type ServiceConfig, serviceSchema } from './service-schema.ts'

/** One component of the config, checked: its settings are typed by its schema, defaults are in. */
export interface Configured<D extends ComponentDefinition = ComponentDefinition> {
  /** `type` or `type/name`. */
  readonly id: string
  readonly definition: D
  readonly settings: Settings
  readonly at: Position
}

/** A config that can be started. Components that no pipeline uses are not in it. */
export interface Config {
  readonly receivers: ReadonlyMap<string, Configured<ReceiverDefinition>>
  readonly processors: ReadonlyMap<string, Configured<ProcessorDefinition>>
  readonly exporters: ReadonlyMap<string, Configured<ExporterDefinition>>
  readonly extensions: ReadonlyMap<string, Configured<ExtensionDefinition>>
  readonly pipelines: readonly PipelineConfig[]
  readonly service: ServiceConfig
}

export const signals: readonly Signal[] = ['traces', 'metrics', 'logs', 'profiles']
export const sections = ['receivers', 'processors', 'exporters', 'extensions'] as const
export type Section = (typeof sections)[number]
const topKeys: readonly string[] = [...sections, 'service', 'plugins', '$schema']

const kindOf: Readonly<Record<Section, Kind>> = {
  receivers: 'receiver',
  processors: 'processor',
  exporters: 'exporter',
  extensions: 'extension',
}

/** Everything that a section defines, whether a pipeline uses it or not; undefined for one whose settings are wrong. */
export type Defined = ReadonlyMap<string, Configured | undefined>

/** Checks the whole config. Where a problem is an error, the config is not to be started. */
export function resolveConfig(root: ConfigNode, registry: Registry): { config: Config; problems: Problem[] } {
  const problems: Problem[] = []
  const map = asMap(root, 'The config', problems)
  for (const [key, { keyAt }] of map.entries) {
    if (topKeys.includes(key)) continue
    const message = `The config has no section "${key}".${suggestion(key, topKeys)}`
    problems.push({ severity: 'error', code: 'CONFIG_UNKNOWN_KEY', at: keyAt, message })
  }
  const defined = {
    receivers: resolveSection(map, 'receivers', registry, problems),
    processors: resolveSection(map, 'processors', registry, problems),
    exporters: resolveSection(map, 'exporters', registry, problems),
    extensions: resolveSection(map, 'extensions', registry, problems),
  }
  const service = resolveService(map, problems)
  const { pipelines, used } = resolvePipelines(service.node, defined, problems)
  warnUnused(map, used, registry, problems)
  const config: Config = {
    receivers: pick(defined.receivers, used.receivers, registry.receiver),
    processors: pick(defined.processors, used.processors, registry.processor),
    exporters: pick(defined.exporters, used.exporters, registry.exporter),
    extensions: pick(defined.extensions, used.extensions, registry.extension),
    pipelines,
    service: service.value,
  }
  return { config, problems }
}

function resolveSection(root: MapNode, section: Section, registry: Registry, problems: Problem[]): Defined {
  const defined = new Map<string, Configured | undefined>()
  const entry = root.entries.get(section)
  if (!entry) return defined
  const map = asMap(entry.node, section, problems)
  for (const [id, component] of map.entries) {
    defined.set(id, resolveComponent(id, component, section, registry, problems))
  }
  return defined
}

function resolveComponent(
  id: string,
  { keyAt, node }: Entry,
  section: Section,
  registry: Registry,
  problems: Problem[],
): Configured | undefined {
  const fail = (problem: Pick<Problem, 'code' | 'message'>): Configured | undefined => {
    problems.push({ severity: 'error', at: keyAt, ...problem })
    return undefined
  }
  const [type = '', ...rest] = id.split('/')
  const half = type === '' ? 'before' : rest.length > 0 && rest.join('/').trim() === '' ? 'after' : undefined
  if (half !== undefined) {
    const message = `${section}: "${id}" has nothing ${half} the "/"; ids are "type" or "type/name".`
    return fail({ code: 'CONFIG_BAD_ID', message })
  }
  const kind = kindOf[section]
  const definition = registry.find(kind, type)
  if (!definition) {
    const elsewhere = sections.find(each => each !== section && registry.find(kindOf[each], type))
    const hint = elsewhere ? ` There is one under "${elsewhere}".` : suggestion(type, registry.typesOf(kind))
    return fail({ code: 'CONFIG_UNKNOWN_TYPE', message: `There is no ${kind} of type "${type}".${hint}` })
  }
  const { value, problems: found } = checkNode(node, fullSchema(definition), `${section}.${id}`)
  problems.push(...found)
  if (found.length > 0) return undefined
  const settings = value as Settings
  for (const { setting, message } of complaintsOf(definition, settings, fail)) {
    const at = locate(node, setting.split('.'))
    problems.push({
      severity: 'error',
      code: 'CONFIG_CONTRADICTION',
      at: at.isComplete ? at.node.at : keyAt,
      message: `${section}.${id}.${setting} ${message}`,
    })
  }
  return { id, definition, settings, at: keyAt }
}

function complaintsOf(
  definition: ComponentDefinition,
  settings: Settings,
  fail: (problem: Pick<Problem, 'code' | 'message'>) => void,
): readonly Complaint[] {
  try {
    return definition.check?.(settings) ?? []
  } catch (error) {
    const message = `The check of ${definition.kind} ${definition.type} failed: ${messageWithPlace(error)}`
    fail({ code: 'CONFIG_BAD_PLUGIN', message })
    return []
  }
}

function resolveService(root: MapNode, problems: Problem[]): { value: ServiceConfig; node: MapNode } {
  const entry = root.entries.get('service')
  if (!entry) {
    const message = 'The config needs the section "service" with at least one pipeline.'
    problems.push({ severity: 'error', code: 'CONFIG_NO_PIPELINE', at: root.at, message })
  }
  const node = entry?.node ?? emptyMap(root.at)
  const { value, problems: found } = checkNode(node, serviceSchema, 'service')
  if (entry) problems.push(...found)
  return { value: value as unknown as ServiceConfig, node: node.kind === 'map' ? node : emptyMap(root.at) }
}

function warnUnused(
  root: MapNode,
  used: Readonly<Record<Section, ReadonlySet<string>>>,
  registry: Registry,
  problems: Problem[],
): void {
  for (const section of sections) {
    const node = root.entries.get(section)?.node
    if (node?.kind !== 'map') continue
    for (const [id, { keyAt }] of node.entries) {
      if (used[section].has(id) || !registry.find(kindOf[section], id.split('/')[0] ?? '')) continue
      const where = section === 'extensions' ? 'service.extensions does not name it' : 'no pipeline uses it'
      const message = `${section}.${id} is defined, but ${where}.`
      problems.push({ severity: 'warning', code: 'CONFIG_UNUSED', at: keyAt, message })
    }
  }
}

function pick<D extends ComponentDefinition>(
  defined: Defined,
  used: ReadonlySet<string>,
  definitionOf: (type: string) => D | undefined,
): Map<string, Configured<D>> {
  const picked = new Map<string, Configured<D>>()
  for (const id of used) {
    const component = defined.get(id)
    const definition = definitionOf(id.split('/')[0] ?? '')
    if (component && definition) picked.set(id, { ...component, definition })
  }
  return picked
}

function asMap(node: ConfigNode, what: string, problems: Problem[]): MapNode {
  if (node.kind === 'map') return node
  if (node.kind === 'list' || node.value !== null) {
    const message = `${what} must be a map, but is ${describe(node)}.`
    problems.push({ severity: 'error', code: 'CONFIG_INVALID_VALUE', at: node.at, message })
  }
  return emptyMap(node.at)
}
