import t from 'tap'
import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { components } from '../../../components.ts'
import { loadConfig } from '../../../core/config/load.ts'
import { formatProblem } from '../../../core/config/problem.ts'
import { packageRoot } from '../../../core/package-root.ts'
import { Batch } from '../../../model/batch.ts'
import * as fullspan from '../../../index.ts'
import { otlpHttpAddress, postSpans, runFullspan } from '../../helpers/running-fullspan.ts'
import { spanFields } from '../../helpers/otlp-requests.ts'

/** A folder outside of the checkout, without node_modules at or above it. */
function outside(t: { teardown(call: () => void): void }, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'fullspan-plugin-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const declared = (type: string, create: string, more = '') => `defineProcessor({
  type: '${type}', description: 'For tests.', stability: 'alpha', signals: ['traces'],
  schema: { type: 'object', additionalProperties: false, properties: {${more}} },
  create: ${create},
})`
const plugin = (type: string, create = '() => batch => batch', more = '') =>
  `import { defineProcessor } from 'fullspan'\nexport default ${declared(type, create, more)}\n`

const frame = (plugins: readonly string[], processors: readonly string[]) => `
plugins: [${plugins.join(', ')}]
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
processors: {${processors.map(each => `${each}: `).join(', ')}}
exporters: {file: {path: "-"}}
service:
  shutdown_timeout: 2s
  pipelines: {traces: {receivers: [otlp], processors: [${processors.join(', ')}], exporters: [file]}}
`

async function problemsOf(folder: string, plugins: readonly string[], processors: readonly string[]) {
  writeFileSync(join(folder, 'config.yaml'), frame(plugins, processors))
  const { problems } = await loadConfig({ files: [join(folder, 'config.yaml')], components, env: {} })
  return problems.map(each => formatProblem(each).replaceAll(folder, '.'))
}

t.test('files in TypeScript and JavaScript and packages bring components', async t => {
  const folder = outside(t, {
    'one.ts': `import { type BatchFunction, defineProcessor } from 'fullspan'
      import { same } from './parts/same.js'
      import { Same } from './parts/kind'
      const create = (): BatchFunction => same(Same.yes)
      export default [${declared('one', 'create')}]`,
    'parts/same.ts': `import { Batch, type BatchFunction } from 'fullspan'
      export const same = (_: number): BatchFunction => batch => (batch instanceof Batch ? batch : undefined)`,
    'parts/kind.ts': 'export enum Same { yes }',
    'two.js': plugin('two'),
    'node_modules/three/package.json': '{"type": "module", "exports": {"import": "./three.js"}}',
    'node_modules/three/three.js': plugin('three'),
    'wrong-types.ts': `${plugin('four')}\nexport const five: string = 5`,
  })
  const plugins = ['./one.ts', './two.js', 'three', join(folder, 'wrong-types.ts')]
  t.strictSame(await problemsOf(folder, plugins, ['one', 'two', 'three', 'four']), [])
})

t.test('what a plugin cannot find or say is one line, with the place', async t => {
  const files: Readonly<Record<string, string>> = {
    'syntax.ts': 'interface A { a: 1 }\n\nexport default { a b }',
    'syntax.js': 'const a = 1\n\nexport default { a b }',
    'inner.ts': "import './syntax.ts'\nexport default 1",
    'throws.ts': 'interface A { a: 1 }\n\nmissing()',
    'no-name.js': "import { nothing } from 'fullspan'\nexport default nothing",
    'no-package.ts': "import left from 'left-pad'\nexport default left",
    'no-default.ts': 'export const x = 1',
    'five.ts': 'export default 5',
    'batch.ts': plugin('batch'),
    'twice.ts': `import { defineProcessor } from 'fullspan'
      export default [${declared('same', '() => batch => batch')}, ${declared('same', '() => batch => batch')}]`,
    'no-type.ts': plugin('a', '() => batch => batch', "a: { typ: 'string' }"),
    'any-of.ts': plugin('b', '() => batch => batch', "a: { type: 'string', anyOf: [] }"),
    'bare.js': "import { defineProcessor } from 'fullspan'\nexport default defineProcessor({ type: 'c' })",
    'word.js': plugin('two words'),
  }
  const folder = outside(t, files)
  const expected: Readonly<Record<string, string>> = {
    './syntax.ts': './syntax.ts:3:20: Expected "}" but found "b"',
    './syntax.js': './syntax.js:3:20: Expected "}" but found "b"',
    './inner.ts': './syntax.ts:3:20: Expected "}" but found "b"',
    './throws.ts': 'ReferenceError: missing is not defined (./throws.ts:3:1)',
    './no-name.js':
      "./no-name.js:1:10: The requested module 'fullspan' does not provide an export named 'nothing'",
    './no-package.ts': "Cannot find package 'left-pad' imported from ./no-package.ts",
    './no-default.ts': 'it has no default export. Write `export default defineProcessor({ … })`.',
    './five.ts':
      'its default export is not made by defineReceiver, defineProcessor, defineExporter or defineExtension.',
    './batch.ts': 'there is a processor batch already, built in. Give it another type.',
    './twice.ts': 'there is a processor same already, in ./twice.ts. Give it another type.',
    './no-type.ts':
      'its schema.properties.a.type must be one of object, string, number, integer, boolean, array, but is missing.',
    './any-of.ts':
      'its schema is not valid: schema is invalid: data/properties/a/anyOf must NOT have fewer than 1 items.',
    './bare.js': 'its description must be a sentence, but is missing.',
    './word.js': 'its type must be a word of letters, digits and underscores, but is "two words".',
    './nowhere.ts': 'there is no file ./nowhere.ts.',
    '.': '. is a folder; name the file in it.',
    nowhere: 'there is no package "nowhere" in a node_modules folder of . or above it.',
    'five.ts':
      'there is no package "five.ts" in a node_modules folder of . or above it. Write "./five.ts" for the file.',
  }
  let column = 11
  const lines = Object.entries(expected).map(([name, message]) => {
    const line = `./config.yaml:2:${column}: The plugin ${name} cannot be loaded: ${message}`
    column += name.length + 2
    return line
  })
  t.strictSame(await problemsOf(folder, Object.keys(expected), ['unknown_without_its_plugin']), lines)
})

t.test('plugins are a list of names', async t => {
  const folder = outside(t, {})
  const message = /plugins must be a list of paths and packages/
  t.match(await problemsOf(folder, ['{a: 1}'], ['batch']), [message])
  const { problems } = await loadConfig({ files: ['yaml:plugins: ./x.ts'], components, env: {} })
  t.ok(problems.some(each => message.test(each.message)))
})

t.test('the example runs from a read-only folder without node_modules, and leaves nothing there', async t => {
  const folder = join(outside(t, {}), 'example')
  cpSync(join(packageRoot(), 'examples/plugin-processor'), folder, { recursive: true })
  const before = readdirSync(folder)
  chmodSync(folder, 0o555)
  const running = await runFullspan(t, join(folder, 'pipeline.yaml'), {
    cwd: '/',
    settings: ['receivers.otlp.protocols.http.endpoint=localhost:0'],
  })
  const attributes = [
    { key: 'enduser.id', value: { stringValue: 'ada' } },
    { key: 'http.route', value: { stringValue: '/cart' } },
  ]
  const response = await postSpans(await otlpHttpAddress(running), [
    spanFields(1, { attributes }),
    spanFields(2),
  ])
  t.equal(response.status, 200)
  const { code, ledger } = await running.stop()
  t.equal(code, 0)
  t.match(ledger, { 'traces → file': { received: 2, delivered: 2 } })
  t.notMatch(running.stdout(), /"ada"/)
  t.match(running.stdout(), /"key":"enduser\.id","value":\{"stringValue":"[0-9a-f]{16}"\}/)
  t.match(running.stdout(), /"\/cart"/)
  t.strictSame(readdirSync(folder), before)
})

t.test('the example’s own test passes there', async t => {
  const folder = join(outside(t, {}), 'example')
  cpSync(join(packageRoot(), 'examples/plugin-processor'), folder, { recursive: true })
  const stdout = await runTest(folder, 'mask-attributes.test.ts')
  t.match(stdout, /^# pass 1$/m)
  t.match(stdout, /^# fail 0$/m)
})

t.test('a stack trace names the lines that were written', async t => {
  const create = `() => {
    interface Unused { a: 1 }
    return () => { throw new Error('on line 7') }
  }`
  const folder = outside(t, { 'bad.ts': plugin('bad', create), 'config.yaml': frame(['./bad.ts'], ['bad']) })
  const running = await runFullspan(t, join(folder, 'config.yaml'))
  await postSpans(await otlpHttpAddress(running), [spanFields(1)])
  const { err } = await running.until(line => line['component'] === 'bad' && line.level === 'error')
  t.match(err, { message: 'on line 7', stack: `${join(folder, 'bad.ts')}:7:` })
  await running.stop()
})

t.test('tryProcessor runs a processor in a pipeline of its own', async t => {
  const { Span, createResource, createScope, filterSpans, mapSpans, tryProcessor, defineProcessor } = fullspan
  const span = (name: string) =>
    Span.create({
      traceId: '0123456789abcdef0123456789abcdef',
      spanId: '0123456789abcdef',
      parentSpanId: '',
      name,
      kind: 1,
      startTimeUnixNano: 1n,
      endTimeUnixNano: 2n,
    })
  const resource = createResource([['service.name', 'shop']])
  const batch = Batch.ofGroups([
    { resource, scope: createScope('one'), spans: [span('keep'), span('drop'), span('keep')] },
    { resource, scope: createScope('two'), spans: [span('drop')] },
  ])
  const define = (create: () => fullspan.BatchFunction) =>
    defineProcessor({
      type: 'mine',
      description: 'For tests.',
      stability: 'alpha',
      signals: ['traces', 'logs'],
      schema: {
        type: 'object',
        additionalProperties: false,
        properties: { text: { type: 'string', default: '', description: 'x' } },
      },
      create,
    })
  const names = (batches: readonly Batch[]) =>
    batches.flatMap(each => each.groups.map(group => group.spans.map(({ name }) => name)))

  const filter = define(() => filterSpans(({ name }) => name === 'keep', 'not wanted'))
  const filtered = await tryProcessor(filter, {}, [batch])
  t.strictSame(names(filtered.batches), [['keep', 'keep']])
  t.match(filtered.ledger, {
    received: 4,
    delivered: 2,
    drops: [{ component: 'mine', reason: 'not wanted', items: 2 }],
  })

  const rename = define(() => mapSpans(each => (each.name === 'drop' ? each.with({ name: 'new' }) : each)))
  t.strictSame(names((await tryProcessor(rename, { text: '${env:HOME} $' }, [batch])).batches), [
    ['keep', 'new', 'keep'],
    ['new'],
  ])
  for (const untouched of [
    define(() => mapSpans(each => each)),
    define(() => filterSpans(() => true, 'none')),
  ]) {
    const { batches } = await tryProcessor(untouched, {}, [batch])
    t.strictSame(Buffer.concat(batches.map(each => each.encode())), Buffer.from(batch.encode()))
  }
  await t.rejects(tryProcessor(filter, { txet: 'x' }, [batch]), /Did you mean "text"/)
})

t.test('what docs/plugins.md tells to do does what it says', t => {
  const page = readFileSync(join(packageRoot(), 'docs/plugins.md'), 'utf8')
  const files: Record<string, string> = {}
  for (const [, name = '', text = ''] of page.matchAll(/^`([\w.-]+)`:\n\n```\w+\n([\s\S]*?)```/gm))
    files[name] = text
  const folder = outside(t, files)

  t.test('write, configure, run', async t => {
    const running = await runFullspan(t, 'pipeline.yaml', {
      cwd: folder,
      settings: ['receivers.otlp.protocols.http.endpoint=localhost:0'],
    })
    const [, body = ''] = /-d '([^']+)'/.exec(page) ?? []
    const headers = { 'content-type': 'application/json' }
    const url = `http://${await otlpHttpAddress(running)}/v1/traces`
    t.equal((await fetch(url, { method: 'POST', headers, body })).status, 200)
    const { ledger } = await running.stop()
    t.match(ledger['traces → file'], {
      received: 2,
      delivered: 1,
      drops: [{ component: 'drop_health_checks', reason: 'health check', items: 1 }],
    })
    t.match(running.stdout(), /"GET \/cart"/)
    t.notMatch(running.stdout(), /"GET \/healthz"/)
  })

  t.test('test', async t => {
    t.match(await runTest(folder, 'drop-health-checks.test.ts'), /^# pass 1$/m)
  })

  t.test('a receiver and an exporter of one’s own', async t => {
    const seen: string[] = []
    const server = createServer((request, response) => {
      request.on('data', (data: Buffer) => seen.push(data.toString()))
      response.statusCode = seen.length === 0 ? 503 : 200
      response.end()
    })
    await new Promise<void>(resolve => server.listen(0, 'localhost', resolve))
    t.teardown(() => void server.close())
    const { port } = server.address() as AddressInfo
    const config = `
plugins: [./ticks.ts, ./post-names.ts]
receivers: {ticks: {every: 20ms}}
exporters: {post_names: {url: "http://localhost:${port}", retry_on_failure: {initial_interval: 10ms}}}
service: {pipelines: {traces: {receivers: [ticks], exporters: [post_names]}}}`
    const running = await runFullspan(t, `yaml:${config}`, { cwd: folder })
    await running.until(line => line['component'] === 'post_names' && line.level === 'warn')
    while (seen.length < 3) await new Promise(resolve => setTimeout(resolve, 10))
    const { code, ledger } = await running.stop()
    t.equal(code, 0)
    const branch = ledger['traces → post_names']
    t.equal(branch?.delivered, branch?.received)
    t.match(seen, ['tick', 'tick', 'tick'])
  })
  t.end()
})

async function runTest(folder: string, file: string): Promise<string> {
  const register = join(packageRoot(), 'dist/core/plugins/register.js')
  const args = ['-u', 'NODE_OPTIONS', process.execPath, '--import', register, '--test', file]
  return (await promisify(execFile)('env', args, { cwd: folder })).stdout
}
