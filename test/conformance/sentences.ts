import { compressionChapters } from './server/compression.ts'
import { grpcChapters } from './server/grpc.ts'
import { httpRuleChapters } from './server/http-rules.ts'
import { httpChapters } from './server/http.ts'
import { jsonChapters } from './server/json.ts'
import { protobufChapters } from './server/protobuf.ts'
import type { ServerWorld } from './server/world.ts'
import type { Chapter } from './sentence.ts'

/** What is asked of a server: the receiver `otlp`. */
export const serverChapters: readonly Chapter<ServerWorld>[] = [
  ...compressionChapters,
  ...grpcChapters,
  ...httpChapters,
  ...httpRuleChapters,
  ...jsonChapters,
  ...protobufChapters,
]

/** What is asked of a client: the exporters `otlp_http` and `otlp_grpc`. */
export const exporterChapters: readonly Chapter<never>[] = []
