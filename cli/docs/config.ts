import type { ComponentDefinition } from '../../core/component.ts'
import { receiverKeys } from '../../core/config/core-keys.ts'
import { wholeSchema } from '../../core/config/json-schema.ts'
import { serviceSchema } from '../../core/config/service-schema.ts'
import { optionTable } from './option-table.ts'

/** The JSON Schema that editors use. */
export function schemaFile(definitions: readonly ComponentDefinition[]): string {
  return `${JSON.stringify(wholeSchema(definitions), undefined, 2)}\n`
}

/** The config as a whole: sections, references, the service section. */
export function configPage(definitions: readonly ComponentDefinition[]): string {
  const list = (kind: ComponentDefinition['kind']): string =>
    definitions
      .filter(each => each.kind === kind)
      .map(each => `[\`${each.type}\`](components/${kind}-${each.type}.md)`)
      .join(', ') || 'none yet'
  const receiver = {
    type: 'object',
    additionalProperties: false,
    properties: receiverKeys,
  } as const
  return `# The config

JSON or YAML. Names, units and defaults are the OpenTelemetry Collector's; what is different on purpose stands in
[differences.md](differences.md). \`fullspan validate\` tells every problem at once, \`fullspan schema\` prints the JSON Schema for editors
(also [config.schema.json](config.schema.json)).

| section | |
| --- | --- |
| \`receivers\` | ${list('receiver')} |
| \`processors\` | ${list('processor')} |
| \`exporters\` | ${list('exporter')} |
| \`extensions\` | ${list('extension')} |
| \`plugins\` | Files (relative to the config) and packages whose default export is a component, or a list of them. |
| \`service\` | What runs; below. |

Components are named \`type\` or \`type/name\`. A receiver or exporter is one instance, however many pipelines use it; a processor is one instance per
pipeline. An empty body (\`otlp:\`) is all defaults. Unknown keys are errors.

Several \`--config\` files are joined: maps key by key, lists and values are replaced by the later file. \`--set a.b=value\` wins over all files. A source
may also be \`env:NAME\` or \`yaml:text\`.

## References

| written | becomes |
| --- | --- |
| \`\${env:NAME}\`, \`\${NAME}\` | the environment variable; if that is all there is, it is read as YAML, so it can be a number, and a text setting keeps its text |
| \`\${env:NAME:-default}\` | the same, with a default where it is not set |
| \`\${file:path}\` | what is in the file; the path is relative to the config |
| \`$$\` | a plain \`$\` |

## Units

A duration is \`200ms\`, \`5s\`, \`1m30s\` or \`0\`. A size is \`4MiB\`, \`1.5GB\` or a number of bytes. An endpoint is \`host:port\`.

## Every receiver

${optionTable(receiver)}
## service

${optionTable(serviceSchema)}`
}
