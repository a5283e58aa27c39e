import { ownMetrics } from '../../core/own-metrics.ts'
import { sources } from './sources.ts'

/** Every metric of /metrics: what core counts, and what components add. */
export function metricsPage(): string {
  const own = ownMetrics.map(
    ({ name, kind, unit, attributes, description }) =>
      `| \`${name}\` | ${kind} | ${unit === '1' ? '' : unit} | ${attributes.map(each => `\`${each}\``).join(' ')} | ${description} |`,
  )
  const others = componentMetrics().map(
    ({ name, kind, component, description }) => `| \`${name}\` | ${kind} | ${component} | ${description} |`,
  )
  return `# Metrics about Fullspan itself

Served for Prometheus on \`service.telemetry.metrics.address\` (\`localhost:8888\`), path \`/metrics\`. Names are the OpenTelemetry Collector's where it has
the figure, so its dashboards work; \`fullspan_…\` are ours. With \`without_type_suffix: false\` counters end in \`_total\`.

For every branch (a pipeline and one of its exporters), at any time:
received + created = delivered + dropped + merged + held.

## Of every pipeline

| metric | kind | unit | attributes | |
| --- | --- | --- | --- | --- |
${own.join('\n')}

## Of components

| metric | kind | component | |
| --- | --- | --- | --- |
${others.join('\n')}
`
}

interface ComponentMetric {
  readonly name: string
  readonly kind: string
  readonly component: string
  readonly description: string
}

/** Components make theirs when they start, which not all can here; so the calls are read from the source. */
export function componentMetrics(): ComponentMetric[] {
  const call =
    /\bcreate(?:Observable)?(Counter|UpDownCounter|Gauge|Histogram)\(\s*'([^']+)',\s*\{[^}]*?description:\s*(?:'([^']*)'|"([^"]*)")/g
  return [...sources()]
    .filter(([path]) => /^(receivers|processors|exporters|extensions)\//.test(path))
    .flatMap(([path, text]) =>
      [...text.matchAll(call)].map(([, kind = '', name = '', single, double]) => ({
        name: name.replaceAll('.', '_'),
        kind: kind.toLowerCase(),
        component: path.split('/').slice(0, 2).join(' ').replace('s ', ' '),
        description: single ?? double ?? '',
      })),
    )
    .sort((a, b) => a.name.localeCompare(b.name))
}
