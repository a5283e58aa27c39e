import type { ComponentDefinition } from '../../core/component.ts'
import { fullSchema } from '../../core/config/core-keys.ts'
import { optionTable } from './option-table.ts'

/** The reference page of one component. */
export function componentPage(definition: ComponentDefinition): string {
  const { kind, type, description, stability, aliases = [] } = definition
  const facts = [
    `Stability: ${stability}.`,
    ...(definition.kind === 'extension' ? [] : [`Signals: ${definition.signals.join(', ')}.`]),
    ...(aliases.length > 0 ? [`Also called: ${aliases.map(each => `\`${each}\``).join(', ')}.`] : []),
  ]
  return `# ${type} (${kind})

${description}

${facts.join(' ')}

## Settings

Under \`${kind}s.${type}\` or \`${kind}s.${type}/<name>\`:

${optionTable(fullSchema(definition))}`
}
