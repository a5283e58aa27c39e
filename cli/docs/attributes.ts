import { attributeNames } from '../../model/attribute-names.ts'

/** Every attribute that Fullspan sets. */
export function attributesPage(): string {
  const row = ([name, description]: readonly [string, string]): string =>
    `| \`${name}\` | ${description.replaceAll('|', '\\|')} |`
  const all = Object.values(attributeNames).toSorted(([a], [b]) => a.localeCompare(b))
  const own = all.filter(([name]) => name.startsWith('fullspan.'))
  const conventions = all.filter(([name]) => !name.startsWith('fullspan.'))
  return `# Attributes

What Fullspan itself sets on SYS and NET spans and their resources, and on APP spans when it joins them. All other attributes are the sender's and
stay as they came.

## Fullspan's own

| attribute | |
| --- | --- |
${own.map(row).join('\n')}

## From OpenTelemetry's semantic conventions

| attribute | |
| --- | --- |
${conventions.map(row).join('\n')}
`
}
