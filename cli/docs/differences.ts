import type { ComponentDefinition } from '../../core/component.ts'
import { fullSchema } from '../../core/config/core-keys.ts'
import { serviceSchema } from '../../core/config/service-schema.ts'
import type { ObjectSchema } from '../../core/schema.ts'
import { optionsOf } from './option-table.ts'

/** Where a setting is not the Collector's, and why: from \`differs\` in the schemas. */
export function differencesPage(definitions: readonly ComponentDefinition[]): string {
  const rows = (name: string, schema: ObjectSchema): string[] =>
    optionsOf(schema).flatMap(({ path, schema: each }) =>
      each.differs === undefined
        ? []
        : [`| ${name} | \`${path}\` | ${each.differs.replaceAll('|', '\\|')} |`],
    )
  const all = [
    ...definitions.flatMap(each => rows(`${each.kind} \`${each.type}\``, fullSchema(each))),
    ...rows('service', serviceSchema),
  ]
  return `# Differences from the OpenTelemetry Collector

Settings have the Collector's names, units and defaults wherever it has them, but for these:

| where | setting | |
| --- | --- | --- |
${all.join('\n')}
`
}
