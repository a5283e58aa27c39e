import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from '../../core/package-root.ts'
import type { RelayCommand } from './child.ts'
import type { Protocol } from './messages.ts'

interface Place {
  readonly protocol: Protocol
  /** Where the relay takes requests, and where it sends them. */
  readonly port: number
  readonly target: number
  /** For configs. */
  readonly folder: string
}

/** `fullspan run` with `otlp` → `batch` → `otlp_http` or `otlp_grpc`, everything else as it is by default. */
export function fullspan(place: Place, profile?: { folder: string; name: string }): RelayCommand {
  const exporter = place.protocol === 'http' ? 'otlp_http' : 'otlp_grpc'
  const config = join(place.folder, `fullspan-${place.protocol}.json`)
  const service = {
    telemetry: { logs: { level: 'warn' }, metrics: { address: '127.0.0.1:0' } },
    // Another user could not write the profile.
    ...(profile && process.getuid?.() === 0 && { run_as: 'root' }),
  }
  writeFileSync(config, configOf(place, exporter, service))
  const flags = profile
    ? ['--cpu-prof', `--cpu-prof-dir=${profile.folder}`, `--cpu-prof-name=${profile.name}.cpuprofile`]
    : []
  const main = join(packageRoot(), 'dist', 'cli', 'main.js')
  return {
    name: 'Fullspan',
    command: process.execPath,
    args: [...flags, main, 'run', '--config', config],
    port: place.port,
  }
}

/** The floor: see bare.ts. */
export function bare({ protocol, port, target }: Place): RelayCommand {
  const program = fileURLToPath(new URL('./bare.js', import.meta.url))
  const args = [program, protocol, String(port), String(target)]
  return { name: 'bare relay', command: process.execPath, args, port }
}

/** An OpenTelemetry Collector with the same pipeline. */
export function collector(place: Place, path: string): RelayCommand {
  const exporter = place.protocol === 'http' ? 'otlphttp' : 'otlp'
  const config = join(place.folder, `collector-${place.protocol}.yaml`)
  // Its page of metrics would need a port of its own; to leave it out costs it nothing.
  const service = { telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } } }
  writeFileSync(config, configOf(place, exporter, service))
  return { name: 'Collector', command: path, args: ['--config', config], port: place.port }
}

function configOf({ protocol, port, target }: Place, exporter: string, service: object): string {
  const endpoint = protocol === 'http' ? `http://127.0.0.1:${target}` : `127.0.0.1:${target}`
  return JSON.stringify({
    receivers: { otlp: { protocols: { [protocol]: { endpoint: `127.0.0.1:${port}` } } } },
    processors: { batch: {} },
    exporters: { [exporter]: { endpoint, compression: 'none', tls: { insecure: true } } },
    service: {
      ...service,
      pipelines: { traces: { receivers: ['otlp'], processors: ['batch'], exporters: [exporter] } },
    },
  })
}
