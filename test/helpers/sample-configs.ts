import type { ComponentDefinition } from '../../core/component.ts'

/** What a component needs to be started in a test, where its defaults do not do: ports that are free, a limit, a place to write to. */
export function sampleConfig({ kind, type }: ComponentDefinition, folder: string): object {
  const samples: Readonly<Record<string, object>> = {
    'receiver otlp': {
      protocols: { grpc: { endpoint: 'localhost:0' }, http: { endpoint: 'localhost:0' } },
    },
    'receiver skywalking': {
      protocols: { grpc: { endpoint: 'localhost:0' }, http: { endpoint: 'localhost:0' } },
    },
    'receiver ebpf': { when_unavailable: 'warn' },
    'processor memory_limiter': { limit_mib: 100_000 },
    'exporter file': { path: `${folder}/traces.jsonl` },
    'exporter otlp_grpc': { endpoint: 'localhost:1' },
    'exporter otlp_http': { endpoint: 'http://localhost:1' },
  }
  return samples[`${kind} ${type}`] ?? {}
}
