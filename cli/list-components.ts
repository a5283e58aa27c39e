import type { ComponentDefinition } from '../core/component.ts'

const kinds = ['receiver', 'processor', 'exporter', 'extension'] as const

/** What a config may name, by kind, with stability and signals: YAML that is also readable. */
export function listComponents(definitions: readonly ComponentDefinition[]): string {
  const lines: string[] = []
  for (const kind of kinds) {
    const members = definitions.filter(each => each.kind === kind)
    if (members.length === 0) continue
    lines.push(`${kind}s:`)
    for (const each of members.toSorted((a, b) => a.type.localeCompare(b.type))) {
      lines.push(`  - name: ${each.type}`)
      lines.push(`    stability: ${each.stability}`)
      if (each.kind !== 'extension') lines.push(`    signals: [${each.signals.join(', ')}]`)
      if (each.aliases?.length) lines.push(`    aliases: [${each.aliases.join(', ')}]`)
      lines.push(`    description: ${JSON.stringify(each.description)}`)
    }
  }
  return `${lines.join('\n')}\n`
}
