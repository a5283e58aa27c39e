import { stringify } from 'yaml'
import { checkNode, propertySchema } from '../core/config/check.ts'
import { fullSchema } from '../core/config/core-keys.ts'
import type { LoadedConfig } from '../core/config/load.ts'
import { type ConfigNode, emptyMap } from '../core/config/node.ts'
import { serviceSchema } from '../core/config/service-schema.ts'
import type { Kind } from '../core/registry.ts'
import type { Schema } from '../core/schema.ts'

const sections: readonly [string, Kind][] = [
  ['receivers', 'receiver'],
  ['processors', 'processor'],
  ['exporters', 'exporter'],
  ['extensions', 'extension'],
]

/** The config as it takes effect: joined, substituted, defaults filled in, secrets hidden. */
export function printConfig({ root, registry }: LoadedConfig, format: 'yaml' | 'json'): string {
  const config: Record<string, unknown> = {}
  const plugins = child(root, 'plugins')
  if (plugins?.kind === 'list')
    config['plugins'] = plugins.items.map(each => each.kind === 'scalar' && each.value)
  for (const [section, kind] of sections) {
    const node = child(root, section)
    if (node?.kind !== 'map') continue
    const components: Record<string, unknown> = {}
    for (const [id, { node: body }] of node.entries) {
      const definition = registry.find(kind, id.split('/')[0] ?? '')
      if (!definition) continue
      const schema = fullSchema(definition)
      components[id] = redact(checkNode(body, schema, id).written, schema)
    }
    config[section] = components
  }
  const service = child(root, 'service') ?? emptyMap(root.at)
  config['service'] = checkNode(service, serviceSchema, 'service').written
  return format === 'json' ? `${JSON.stringify(config, undefined, 2)}\n` : stringify(config)
}

/** Users, passwords and query values in URLs are secrets, whatever the schema says of the setting. */
function withoutCredentials(text: string): string {
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@\s]+@/i, '$1[REDACTED]@')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?\s]*\?)\S+$/i, '$1[REDACTED]')
}

function child(node: ConfigNode, key: string): ConfigNode | undefined {
  return node.kind === 'map' ? node.entries.get(key)?.node : undefined
}

function redact(value: unknown, schema: Schema | undefined): unknown {
  if (schema?.type === 'string' && schema.secret === true) return '[REDACTED]'
  if (typeof value === 'string') return withoutCredentials(value)
  if (Array.isArray(value)) {
    return schema?.type === 'array' ? value.map(item => redact(item, schema.items)) : value
  }
  if (schema?.type === 'object' && typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, redact(inner, propertySchema(schema, key))]),
    )
  }
  return value
}
