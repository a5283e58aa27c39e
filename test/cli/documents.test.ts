import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { components } from '../../components.ts'
import { loadConfig } from '../../core/config/load.ts'
import { formatProblem } from '../../core/config/problem.ts'
import { packageRoot } from '../../core/package-root.ts'

const root = packageRoot()
const env = { SHOP_TRACES: '/tmp/traces.jsonl' }

async function problemsOf(source: string): Promise<string[]> {
  const { problems } = await loadConfig({ files: [source], env, components })
  return problems.map(formatProblem)
}

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(join(root, folder)).flatMap(name => {
    const path = join(folder, name)
    if (name === 'node_modules') return []
    if (statSync(join(root, path)).isDirectory()) return filesBelow(path, ending)
    return ending.test(name) ? [path] : []
  })
}

t.test('every whole config in README and docs is valid', async t => {
  const pages = ['README.md', ...filesBelow('docs', /\.md$/), ...filesBelow('examples', /\.md$/)]
  let configs = 0
  for (const page of pages) {
    for (const [, text = ''] of readFileSync(join(root, page), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)) {
      // Those with plugins need their files: test/core/plugins runs that page.
      if (!/^service:/m.test(text) || /^plugins:/m.test(text)) continue
      configs++
      t.strictSame(await problemsOf(`yaml:${text}`), [], page)
    }
  }
  t.ok(configs > 0)
})

t.test('every config file that is shipped is valid', async t => {
  const files = [
    'pipeline.config.json',
    ...filesBelow('examples', /\.ya?ml$/),
    ...filesBelow('test/e2e', /\.ya?ml$/),
  ]
  for (const file of files) t.strictSame(await problemsOf(join(root, file)), [], file)
})

t.test('every link between pages leads somewhere', t => {
  for (const page of ['README.md', ...filesBelow('docs', /\.md$/), ...filesBelow('examples', /\.md$/)]) {
    for (const [, target = ''] of readFileSync(join(root, page), 'utf8').matchAll(
      /\]\((?!https?:|#)([^)#]+)/g,
    )) {
      t.doesNotThrow(() => statSync(join(root, page, '..', target)), `${page}: ${target}`)
    }
  }
  t.end()
})

t.test('every target that the README names is in the Makefile', t => {
  const makefile = readFileSync(join(root, 'Makefile'), 'utf8')
  for (const [, target = ''] of readFileSync(join(root, 'README.md'), 'utf8').matchAll(/`make (\w+)/g)) {
    t.match(makefile, new RegExp(`^${target}:`, 'm'), target)
  }
  t.end()
})
