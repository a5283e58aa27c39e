import { commonSchemas } from './common.ts'
import type { Schemas } from './field.ts'
import { logSchemas } from './logs.ts'
import { metricSchemas } from './metrics.ts'
import { profileSchemas } from './profiles.ts'
import { replySchemas } from './replies.ts'
import { traceSchemas } from './traces.ts'

export type { MessageSchema, Schemas } from './field.ts'

/** Every message and enum of OTLP 1.11, by name. */
export const otlpSchemas: Schemas = {
  ...commonSchemas,
  ...traceSchemas,
  ...metricSchemas,
  ...logSchemas,
  ...profileSchemas,
  ...replySchemas,
}
