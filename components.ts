import type { ComponentDefinition } from './core/component.ts'
import debug from './exporters/debug/index.ts'
import file from './exporters/file/index.ts'
import otlpGrpc from './exporters/otlp_grpc/index.ts'
import otlpHttp from './exporters/otlp_http/index.ts'
import batch from './processors/batch/index.ts'
import memoryLimiter from './processors/memory_limiter/index.ts'
import spanAssociation from './processors/span_association/index.ts'
import ebpf from './receivers/ebpf/index.ts'
import otlpReceiver from './receivers/otlp/index.ts'
import skywalking from './receivers/skywalking/index.ts'

/** What is built in: the one visible list. Folder name = `type`. */
export const components: readonly ComponentDefinition[] = [
  // receivers
  ebpf,
  otlpReceiver,
  skywalking,
  // processors
  batch,
  memoryLimiter,
  spanAssociation,
  // exporters
  debug,
  file,
  otlpGrpc,
  otlpHttp,
]
