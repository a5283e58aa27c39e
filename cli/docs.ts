import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { components } from '../components.ts'
import { packageRoot } from '../core/package-root.ts'
import { attributesPage } from './docs/attributes.ts'
import { componentPage } from './docs/component.ts'
import { configPage, schemaFile } from './docs/config.ts'
import { differencesPage } from './docs/differences.ts'
import { checkErrors } from './docs/errors.ts'
import { metricsPage } from './docs/metrics.ts'
import { otlpConformancePage } from './docs/otlp-conformance.ts'

/** `npm run docs` writes docs/reference from the schemas and the conformance suite; with `--check` it compares, and exits 1 where they differ. */
const reference = join(packageRoot(), 'docs/reference')

/** Every generated page by its path below docs/reference. */
export function generatedPages(): ReadonlyMap<string, string> {
  const pages = new Map<string, string>([
    ['attributes.md', attributesPage()],
    ['config.md', configPage(components)],
    ['config.schema.json', schemaFile(components)],
    ['differences.md', differencesPage(components)],
    ['metrics.md', metricsPage()],
    ['otlp-conformance.md', otlpConformancePage()],
  ])
  for (const definition of components) {
    pages.set(`components/${definition.kind}-${definition.type}.md`, componentPage(definition))
  }
  return pages
}

/** What is not as it should be, one sentence each. */
export function staleDocs(): string[] {
  const pages = generatedPages()
  const stale = [...pages]
    .filter(([path, text]) => read(path) !== text)
    .map(([path]) => `docs/reference/${path} is not what the code says; run \`npm run docs\`.`)
  return [
    ...stale,
    ...orphans(pages).map(path => `docs/reference/${path} is of no component.`),
    ...checkErrors(),
  ]
}

function orphans(pages: ReadonlyMap<string, string>): string[] {
  return list('components')
    .map(name => `components/${name}`)
    .filter(path => !pages.has(path))
}

function writeDocs(): void {
  const pages = generatedPages()
  for (const path of orphans(pages)) rmSync(join(reference, path))
  for (const [path, text] of pages) {
    mkdirSync(dirname(join(reference, path)), { recursive: true })
    writeFileSync(join(reference, path), text)
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(reference, path), 'utf8')
  } catch {
    return undefined
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(join(reference, folder))
  } catch {
    return []
  }
}

if (import.meta.filename === process.argv[1]) {
  if (!process.argv.includes('--check')) writeDocs()
  const problems = staleDocs()
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length > 0 ? 1 : 0
}
