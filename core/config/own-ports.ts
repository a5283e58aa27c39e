import type { ObjectSchema, Schema } from '../schema.ts'
import { parseEndpoint } from '../units.ts'
import type { Config } from './resolve.ts'

/**
 * The TCP ports on which this config makes Fullspan listen: every `format: endpoint` of a receiver or an extension, and the
 * metrics. Capture leaves traffic on them out, in any namespace.
 */
export function ownPorts({ receivers, extensions, service }: Config): readonly number[] {
  const ports = new Set<number>()
  for (const { definition, settings } of [...receivers.values(), ...extensions.values()]) {
    addPorts(definition.schema, settings, ports)
  }
  const { address, port } = service.telemetry.metrics
  const own = port ?? parseEndpoint(address)?.port
  if (own !== undefined) ports.add(own)
  return [...ports].filter(each => each > 0)
}

function addPorts(schema: Schema, value: unknown, ports: Set<number>): void {
  if (schema.type === 'string' && schema.format === 'endpoint' && typeof value === 'string') {
    const endpoint = parseEndpoint(value)
    if (endpoint) ports.add(endpoint.port)
  } else if (schema.type === 'object' && typeof value === 'object' && value !== null) {
    addPortsOfObject(schema, value, ports)
  }
}

function addPortsOfObject({ properties }: ObjectSchema, value: object, ports: Set<number>): void {
  for (const [key, inner] of Object.entries(value)) {
    const schema = properties[key]
    if (schema) addPorts(schema, inner, ports)
  }
}
