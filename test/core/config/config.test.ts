import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  defineExporter,
  defineExtension,
  defineProcessor,
  defineReceiver,
  type ComponentDefinition,
} from '../../../core/component.ts'
import { checkNode, configOf } from '../../../core/config/check.ts'
import { loadConfig } from '../../../core/config/load.ts'
import { nearest } from '../../../core/config/nearest.ts'
import { parseText } from '../../../core/config/parse.ts'
import { formatProblem } from '../../../core/config/problem.ts'
import { parseDuration, parseEndpoint, parseSize } from '../../../core/units.ts'
import { deliverySchema } from '../../../core/delivery/schema.ts'
import { EMPTY } from 'rxjs'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    name: { type: 'string', description: 'x' },
    password: { type: 'string', secret: true, description: 'x' },
    wait: { type: 'string', format: 'duration', default: '200ms', description: 'x' },
    room: { type: 'string', format: 'size', default: '4MiB', description: 'x' },
    endpoint: { type: 'string', format: 'endpoint', description: 'x' },
    count: { type: 'integer', minimum: 1, default: 3, description: 'x' },
    isOn: { type: 'boolean', description: 'x' },
    mode: { type: 'string', enum: ['attach', 'rewrite'], default: 'attach', description: 'x' },
    list: { type: 'array', items: { type: 'string', format: 'duration' }, description: 'x' },
    headers: {
      type: 'object',
      additionalProperties: { type: 'string' },
      properties: {},
      description: 'x',
    },
    tls: {
      type: 'object',
      additionalProperties: false,
      description: 'x',
      properties: { wait: { type: 'string', format: 'duration', default: '1s', description: 'x' } },
    },
    retry: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'x',
      properties: { wait: { type: 'string', format: 'duration', default: '5s', description: 'x' } },
    },
  },
} as const

const common = { description: 'x', stability: 'beta', schema } as const
const components: ComponentDefinition[] = [
  defineReceiver({ ...common, type: 'otlp', signals: ['traces', 'logs'], create: () => EMPTY }),
  defineProcessor({ ...common, type: 'batch', signals: ['traces', 'logs'], create: () => batch => batch }),
  defineProcessor({ ...common, type: 'span_association', signals: ['traces'], create: () => batch => batch }),
  defineExporter({
    ...common,
    type: 'file',
    signals: ['traces', 'logs'],
    create: () => () => Promise.resolve(),
  }),
  defineExporter({
    ...common,
    type: 'otlp_http',
    aliases: ['otlphttp'],
    signals: ['traces', 'logs'],
    create: () => () => Promise.resolve(),
  }),
  defineExtension({
    ...common,
    type: 'health',
    create: () => Promise.resolve({ api: undefined, stop: () => Promise.resolve() }),
  }),
]

async function problemsOf(text: string, env: Record<string, string> = {}, settings: string[] = []) {
  const { problems } = await loadConfig({ files: [`yaml:${text}`], components, env, settings })
  return problems.map(problem => formatProblem(problem).replace(/^yaml:/, ''))
}

const frame = `receivers: {otlp: }
exporters: {file: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
`

async function settingsOf(body: string, env: Record<string, string> = {}) {
  const text = `receivers: {otlp: ${body}}\nexporters: {file: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}`
  const { config, problems } = await loadConfig({ files: [`yaml:${text}`], components, env })
  const errors = problems.filter(each => each.severity === 'error').map(formatProblem)
  if (errors.length > 0) throw new Error(errors.join('\n'))
  return config.receivers.get('otlp')?.settings as Record<string, unknown>
}

t.test('durations are as in Go, sizes and endpoints are parsed', t => {
  const durations: [string, number | undefined][] = [
    ['200ms', 200],
    ['1m30s', 90_000],
    ['1.5s', 1500],
    ['0', 0],
    ['2h', 7_200_000],
    ['100us', 0.1],
    ['5', undefined],
    ['', undefined],
    ['5 s', undefined],
    ['-5s', undefined],
  ]
  for (const [text, expected] of durations) t.equal(parseDuration(text), expected, JSON.stringify(text))
  const sizes: [string, number | undefined][] = [
    ['64_000', 64_000],
    ['4MiB', 4_194_304],
    ['4MB', 4_000_000],
    ['1.5Ki', 1536],
    ['10 GiB', 10_737_418_240],
    ['4Mib', undefined],
    ['x', undefined],
  ]
  for (const [text, expected] of sizes) t.equal(parseSize(text), expected, JSON.stringify(text))
  t.strictSame(parseEndpoint('localhost:4317'), { host: 'localhost', port: 4317 })
  t.strictSame(parseEndpoint('[::1]:80'), { host: '::1', port: 80 })
  t.strictSame(parseEndpoint(':80'), { host: '', port: 80 })
  for (const text of ['localhost', '::1:80', 'a:b', 'a:99999']) t.equal(parseEndpoint(text), undefined, text)
  t.end()
})

t.test('an empty body is all defaults, nested optional objects are there only if written', async t => {
  t.strictSame(await settingsOf(''), {
    wait: 200,
    room: 4_194_304,
    count: 3,
    mode: 'attach',
    retry: { wait: 5000 },
    when_unavailable: 'fail',
  })
  t.strictSame((await settingsOf('{tls: }'))['tls'], { wait: 1000 })
  t.strictSame((await settingsOf('{count: }'))['count'], 3, 'an empty value is the default')
  t.strictSame((await settingsOf('{room: 64_000, wait: 0}'))['room'], 64_000)
  t.strictSame((await settingsOf('{list: [1s, 2s]}'))['list'], [1000, 2000])
  t.strictSame(configOf(deliverySchemaOf())['sending_queue'], {
    enabled: true,
    num_consumers: 10,
    queue_size: 1000,
    sizer: 'requests',
  })
})

function deliverySchemaOf() {
  return { type: 'object', additionalProperties: false, properties: { ...deliverySchema } } as const
}

t.test('every problem is told at once, with its place, what was found and what was meant', async t => {
  const text = `
receivers:
  otlp:
    wiat: 5s
    wait: 200
    count: zero
    tls: {wait: 1x}
  olpt: {}
processors:
  batch: {mode: atach, count: 0, list: [1s, nope]}
  span_association:
  batch/unused: {}
exporters:
  file: {endpoint: localhost}
  span_association:
extensions:
  health/: {}
  /x: {}
service:
  extensions: [health]
  pipelines:
    traces: {receivers: [otlp, otlp], processors: [batch/1], exporters: [fil]}
    logs/x: {receivers: [otlp], processors: [span_association, batch], exporters: [file]}
    trace: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: []}
servce: {}
`
  t.strictSame(await problemsOf(text), [
    ':4:5: receivers.otlp has no setting "wiat". Did you mean "wait"?',
    ':5:11: receivers.otlp.wait must be a duration such as "200ms", "5s" or "1m30s", but is 200.',
    ':6:12: receivers.otlp.count must be a whole number, but is "zero".',
    ':7:17: receivers.otlp.tls.wait must be a duration such as "200ms", "5s" or "1m30s", but is "1x".',
    ':8:3: There is no receiver of type "olpt". Did you mean "otlp"?',
    ':10:17: processors.batch.mode cannot be "atach". Did you mean "attach"? Allowed: attach, rewrite.',
    ':10:31: processors.batch.count must be at least 1, but is 0.',
    ':10:45: processors.batch.list.1 must be a duration such as "200ms", "5s" or "1m30s", but is "nope".',
    ':12:3: warning: processors.batch/unused is defined, but no pipeline uses it.',
    ':14:20: exporters.file.endpoint must be an address such as "localhost:4317", but is "localhost".',
    ':15:3: There is no exporter of type "span_association". There is one under "processors".',
    ':17:3: extensions: "health/" has nothing after the "/"; ids are "type" or "type/name".',
    ':17:3: warning: extensions.health/ is defined, but service.extensions does not name it.',
    ':18:3: extensions: "/x" has nothing before the "/"; ids are "type" or "type/name".',
    ':20:16: service.extensions names "health", which is not defined under "extensions". Did you mean "health/"?',
    ':22:32: service.pipelines.traces.receivers names "otlp" twice.',
    ':22:52: service.pipelines.traces.processors names "batch/1", which is not defined under "processors". Did you mean "batch"?',
    ':22:74: service.pipelines.traces.exporters names "fil", which is not defined under "exporters". Did you mean "file"?',
    ':23:46: service.pipelines.logs/x.processors names "span_association", which cannot take logs. It takes: traces.',
    ':24:5: "trace" is no name of a pipeline; it is "<signal>" or "<signal>/<name>". Did you mean "traces"?',
    ':25:5: service.pipelines.metrics needs the setting "exporters".',
    ':25:26: service.pipelines.metrics.receivers must have at least 1 item(s).',
    ':26:1: The config has no section "servce". Did you mean "service"?',
  ])
})

t.test('JSON has the same places, and trailing garbage is a problem', async t => {
  t.strictSame(
    await problemsOf('{"receivers": {"otlp": {"count": 1.5}},\n "exporters": {"file": null},\n' + frameRest),
    [':1:34: receivers.otlp.count must be a whole number, but is 1.5.'],
  )
  t.match(await problemsOf(`{"receivers": {}} }`), [/^:1:19: /])
})
const frameRest = '"service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}}}}'

t.test('broken YAML, doubled keys and a config of another kind are problems with a place', async t => {
  t.match(await problemsOf('receivers: {otlp: \nservice: ['), [/^:\d+:\d+: /])
  const onlyFirst = await problemsOf(
    `exporters: {file: {path: \${env:X}/y}}\nservice: {pipelines: {traces: {}}}`,
  )
  t.strictSame(onlyFirst.length, 1, 'what follows from the first fault is not told')
  t.match(await problemsOf(`${frame}exporters: {}\n`), [/^:4:1: The key "exporters" stands twice/])
  t.match(
    await problemsOf(`${frame}receivers: {}\nexporters: {otlp_htp: {}}\n`),
    [/^:4:1: The key "receivers" stands twice/, /^:5:1: The key "exporters" stands twice/, /otlp_htp/],
    'what else is wrong is said too',
  )
  t.match(await problemsOf('[1, 2]'), [/^:1:1: The config must be a map, but is a list\./, /service/])
  t.match(await problemsOf(''), [/^:1:1: The config needs the section "service"/])
  t.match(await problemsOf('receivers: [otlp]\nservice: {pipelines: {}}'), [
    /^:1:12: receivers must be a map, but is a list\./,
    /^:2:22: service\.pipelines needs at least one pipeline/,
  ])
})

t.test('a file that is not there is one problem', async t => {
  const { problems } = await loadConfig({ files: ['/nowhere/x.yaml'], components, env: {} })
  t.strictSame(problems.map(formatProblem), [
    '/nowhere/x.yaml:1:1: The config cannot be read: there is no such file.',
  ])
})

t.test('an older name of a component is understood', async t => {
  const text = frame.replaceAll('file', 'otlphttp/2')
  const { config, problems } = await loadConfig({ files: [`yaml:${text}`], components, env: {} })
  t.strictSame(problems, [])
  t.equal(config.exporters.get('otlphttp/2')?.definition.type, 'otlp_http')
})

t.test('references are replaced with the typing of the Collector', async t => {
  const env = { COUNT: '7', ZERO: '0123', YES: 'true', SECRET: 'pa$$w0rd$', EMPTY: '', WHICH: 'COUNT' }
  const value = async (key: string, text: string) => (await settingsOf(`{${key}: ${text}}`, env))[key]
  t.equal(await value('count', '"${env:COUNT}"'), 7)
  t.equal(await value('count', '"${COUNT}"'), 7)
  t.equal(await value('count', '"${env:${env:WHICH}}"'), 7, 'nested')
  t.equal(await value('name', '"${env:ZERO}"'), '0123', 'a text setting keeps the text')
  t.equal(await value('name', '"a-${env:COUNT}-b"'), 'a-7-b')
  t.equal(await value('name', '"${env:YES}"'), 'true')
  t.equal(await value('name', '"${env:SECRET}"'), 'pa$$w0rd$', 'a value is never expanded again')
  t.equal(await value('name', '"x ${env:SECRET}"'), 'x pa$$w0rd$')
  t.equal(await value('name', '"$${env:COUNT} costs 5$$"'), '${env:COUNT} costs 5$')
  t.equal(await value('name', '"$COUNT"'), '$COUNT', 'a naked name stays')
  t.equal(await value('count', '"${env:NOT_SET:-12}"'), 12)
  t.equal(await value('name', '"${env:NOT_SET:-a:-b}"'), 'a:-b')
  t.equal(await value('count', '"${env:EMPTY}"'), 3, 'set but empty is no value')
})

t.test('a reference that cannot be read is a problem; one that is not set a warning', async t => {
  const at = (text: string) => problemsOf(frame.replace('{otlp: }', `{otlp: {name: "${text}"}}`))
  t.match(await at('${env:NOT_SET}'), [/^:1:26: warning: environment variable NOT_SET is not set/])
  t.match(await at('${env:a.b}'), [/^:1:26: "a\.b" is no name of an environment variable/])
  t.match(await at('${http:x}'), [/^:1:26: "\$\{http:x\}" cannot be read/])
  t.match(await at('${file:/nowhere}'), [/^:1:26: "\/nowhere" cannot be read/])
  t.match(await problemsOf(frame.replace('{otlp: }', '{otlp: {isOn: "${env:T}"}}'), { T: '23' }), [
    /receivers\.otlp\.isOn must be true or false, but is "23"/,
  ])
})

t.test('${file:…} brings a whole section, from beside the file that names it', async t => {
  const folder = t.testdir({ 'part.yaml': 'otlp:\n  count: 5\n', 'token.txt': '0123\n' })
  const path = join(folder, 'main.yaml')
  writeFileSync(
    path,
    `receivers: "\${file:part.yaml}"\nexporters: {file: {name: "\${file:token.txt}"}}\n${frame.split('\n').slice(2).join('\n')}`,
  )
  const { config, problems } = await loadConfig({ files: [path], components, env: {} })
  t.strictSame(problems, [])
  t.match(config.receivers.get('otlp')?.settings, { count: 5 })
  t.match(config.exporters.get('file')?.settings, { name: '0123' })
})

t.test('later files and --set win: maps are joined, lists are replaced', async t => {
  const second = 'receivers: {otlp: {count: 9, list: [1s]}}'
  const { config, problems } = await loadConfig({
    files: [`yaml:${frame.replace('{otlp: }', '{otlp: {name: a, list: [2s, 3s]}}')}`, `yaml:${second}`],
    settings: ['receivers.otlp.wait=2s', 'receivers::otlp::isOn=true', 'exporters.file.name=0'],
    components,
    env: {},
  })
  t.match(problems.map(formatProblem), [
    /^--set exporters\.file\.name=0:1:1: exporters\.file\.name must be a text \(in quotes\), but is 0/,
  ])
  t.match(config.receivers.get('otlp')?.settings, {
    name: 'a',
    count: 9,
    list: [1000],
    wait: 2000,
    isOn: true,
  })
  t.match(await problemsOf(frame, {}, ['nonsense']), [/--set takes a path and a value/])
  t.match(await problemsOf(frame, {}, ['receivers.otlp.wiat=2s']), [/Did you mean "wait"/])
})

t.test('anchors, aliases and merge keys work; an anchor in itself is a problem', async t => {
  const text = `receivers:
  otlp: &base {count: 4, wait: 1s}
  otlp/2: {<<: *base, wait: 2s}
exporters: {file: }
service: {pipelines: {traces: {receivers: [otlp, otlp/2], exporters: [file]}}}`
  const { config, problems } = await loadConfig({ files: [`yaml:${text}`], components, env: {} })
  t.strictSame(problems, [])
  t.match(config.receivers.get('otlp/2')?.settings, { count: 4, wait: 2000 })
  t.match(await problemsOf(`${frame}receivers: &a {otlp: *a}`), [/itself|stands twice/, /./])
})

t.test('plugins bring components; what is none is a problem', async t => {
  const folder = t.testdir({
    'good.js': `export default { kind: 'receiver', type: 'mine', description: 'x', stability: 'alpha', signals: ['traces'],
      schema: { type: 'object', additionalProperties: false, properties: {} }, create() {} }`,
    'bad.js': 'export default 5',
    'config.yaml': `plugins: [./good.js, ./bad.js, ./missing.js]\n${frame.replaceAll('otlp', 'mine')}`,
  })
  const { config, problems } = await loadConfig({ files: [join(folder, 'config.yaml')], components, env: {} })
  t.ok(config.receivers.has('mine'))
  t.match(problems, [
    {
      code: 'CONFIG_BAD_PLUGIN',
      message: /\.\/bad\.js cannot be loaded: its default export is not made by/,
      at: { line: 1, column: 22 },
    },
    { code: 'CONFIG_BAD_PLUGIN', message: /missing\.js/ },
  ])
})

t.test('the nearest name is near', t => {
  t.equal(nearest('btach', ['batch', 'debug']), 'batch')
  t.equal(nearest('OTLP', ['otlp', 'file']), 'otlp')
  t.equal(nearest('kafka', ['otlp', 'file']), undefined)
  t.end()
})

t.test('a config that the schema allows is written out again as it was, with defaults', t => {
  const { node } = parseText('{wait: 1s, password: x}', 'x')
  t.match(checkNode(node, schema, 'x').written, { wait: '1s', room: '4MiB', count: 3, retry: { wait: '5s' } })
  t.end()
})
