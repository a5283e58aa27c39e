import type { Signal } from '../../model/batch.ts'
import { suggestion } from './nearest.ts'
import { type ConfigNode, emptyMap, type MapNode } from './node.ts'
import type { Position, Problem } from './problem.ts'
import { type Defined, type Section, signals } from './resolve.ts'

/** One pipeline: ids in the order of the config. */
export interface PipelineConfig {
  /** `<signal>` or `<signal>/<name>`. */
  readonly id: string
  readonly signal: Signal
  readonly receivers: readonly string[]
  readonly processors: readonly string[]
  readonly exporters: readonly string[]
}

type Sections<T> = Readonly<Record<Section, T>>

/** Checks what the service refers to: pipelines and extensions. `used` has every id that is named, known or not. */
export function resolvePipelines(
  service: MapNode,
  defined: Sections<Defined>,
  problems: Problem[],
): { pipelines: PipelineConfig[]; used: Sections<Set<string>> } {
  const used = {
    receivers: new Set<string>(),
    processors: new Set<string>(),
    exporters: new Set<string>(),
    extensions: new Set<string>(),
  }
  const lookUp: LookUp = (list, section, where, signal) =>
    referencesOf(list).filter(({ id, at, repeats }) => {
      used[section].add(id)
      const complaint = repeats
        ? { code: 'CONFIG_REPEATED_ID', message: `${where} names "${id}" twice.` }
        : complaintAbout(id, section, where, signal, defined[section])
      if (!complaint) return true
      problems.push({ severity: 'error', at, ...complaint })
      return false
    })
  lookUp(service.entries.get('extensions')?.node, 'extensions', 'service.extensions')

  const node = service.entries.get('pipelines')?.node ?? emptyMap(service.at)
  const entries = node.kind === 'map' ? [...node.entries] : []
  if (entries.length === 0 && service.entries.has('pipelines') && node.kind === 'map') {
    const message = 'service.pipelines needs at least one pipeline, such as "traces".'
    problems.push({ severity: 'error', code: 'CONFIG_NO_PIPELINE', at: node.at, message })
  }
  const pipelines: PipelineConfig[] = []
  for (const [id, { keyAt, node: body }] of entries) {
    const pipeline = resolvePipeline(id, keyAt, body, lookUp, problems)
    if (pipeline) pipelines.push(pipeline)
  }
  return { pipelines, used }
}

type LookUp = (
  list: ConfigNode | undefined,
  section: Section,
  where: string,
  signal?: Signal,
) => readonly { id: string }[]

function resolvePipeline(
  id: string,
  at: Position,
  body: ConfigNode,
  lookUp: LookUp,
  problems: Problem[],
): PipelineConfig | undefined {
  const [name = '', ...rest] = id.split('/')
  const signal = signals.find(each => each === name)
  if (!signal || (rest.length > 0 && rest.join('/').trim() === '')) {
    const hint = signal ? ' Nothing stands after the "/".' : suggestion(name, signals)
    const message = `"${id}" is no name of a pipeline; it is "<signal>" or "<signal>/<name>".${hint}`
    problems.push({ severity: 'error', code: 'CONFIG_BAD_ID', at, message })
  }
  if (body.kind !== 'map') return undefined
  const listed = (section: Section): string[] => {
    const where = `service.pipelines.${id}.${section}`
    return lookUp(body.entries.get(section)?.node, section, where, signal).map(each => each.id)
  }
  const receivers = listed('receivers')
  const processors = listed('processors')
  const exporters = listed('exporters')
  return signal && { id, signal, receivers, processors, exporters }
}

function referencesOf(list: ConfigNode | undefined): { id: string; at: Position; repeats: boolean }[] {
  if (list?.kind !== 'list') return []
  const seen = new Set<string>()
  return list.items.flatMap(item => {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') return []
    const repeats = seen.has(item.value)
    seen.add(item.value)
    return [{ id: item.value, at: item.at, repeats }]
  })
}

function complaintAbout(
  id: string,
  section: Section,
  where: string,
  signal: Signal | undefined,
  defined: Defined,
): Pick<Problem, 'code' | 'message'> | undefined {
  if (!defined.has(id)) {
    const known = [...defined.keys()]
    const hint = known.length === 0 ? ` The section "${section}" is empty or missing.` : suggestion(id, known)
    const message = `${where} names "${id}", which is not defined under "${section}".${hint}`
    return { code: 'CONFIG_UNKNOWN_ID', message }
  }
  const definition = defined.get(id)?.definition
  if (!definition || definition.kind === 'extension' || signal === undefined) return undefined
  if (definition.signals.includes(signal)) return undefined
  const message = `${where} names "${id}", which cannot take ${signal}. It takes: ${definition.signals.join(', ')}.`
  return { code: 'CONFIG_WRONG_SIGNAL', message }
}
