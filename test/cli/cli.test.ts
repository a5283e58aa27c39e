import t from 'tap'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parse } from 'yaml'
import { components } from '../../components.ts'
import { printConfig } from '../../cli/print-config.ts'
import { defineExporter } from '../../core/component.ts'
import { loadConfig } from '../../core/config/load.ts'
import { packageRoot } from '../../core/package-root.ts'

t.setTimeout(120_000) // many processes, each of which takes a second to start on a busy machine
const main = join(packageRoot(), 'dist/cli/main.js')

interface Run {
  readonly child: ChildProcess
  readonly out: { stdout: string; stderr: string }
  readonly exit: Promise<number | null>
  /** Resolves with the first match in standard error. */
  until(pattern: RegExp): Promise<RegExpExecArray>
}

function start(args: readonly string[], env: Record<string, string> = {}): Run {
  // The test runner loads itself into every process by NODE_OPTIONS, and fails in one that is no longer root.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, main, ...args]
  const child = spawn('env', command, { env: { ...process.env, ...env } })
  const out = { stdout: '', stderr: '' }
  const watchers = new Set<() => void>()
  child.stdout.on('data', (data: Buffer) => (out.stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => {
    out.stderr += data.toString()
    for (const watcher of watchers) watcher()
  })
  const exit = new Promise<number | null>(resolve => child.on('close', resolve))
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(out.stderr)
        if (!match) return
        watchers.delete(look)
        resolve(match)
      }
      watchers.add(look)
      look()
      void exit.then(() => reject(new Error(`ended without ${String(pattern)}: ${out.stderr}`)))
    })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, out, exit, until }
}

async function runToEnd(args: readonly string[], env?: Record<string, string>) {
  const { out, exit } = start(args, env)
  const code = await exit
  return { code, ...out }
}

const working = (more = '') => `
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
exporters: {file: {path: "-"}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
  telemetry: {metrics: {port: 0}}
${more}`

const span = JSON.stringify({
  resourceSpans: [
    {
      scopeSpans: [
        {
          spans: [
            {
              traceId: '0123456789abcdef0123456789abcdef',
              spanId: '0123456789abcdef',
              name: 'hello',
              startTimeUnixNano: '1',
              endTimeUnixNano: '2',
            },
          ],
        },
      ],
    },
  ],
})

async function post(address: string) {
  const headers = { 'content-type': 'application/json' }
  return fetch(`http://${address}/v1/traces`, { method: 'POST', headers, body: span })
}

t.test('validate prints one problem a line with its place, and exits 1', async t => {
  const folder = t.testdir({
    'bad.yaml': 'receivers:\n  otpl:\nexporters: {debug: {colour: 1}}\nservice: {pipelines: {}}\n',
  })
  const path = join(folder, 'bad.yaml')
  const { code, stdout, stderr } = await runToEnd(['validate', '--config', path])
  t.equal(code, 1)
  t.equal(stderr, '')
  t.strictSame(stdout.trimEnd().split('\n'), [
    `${path}:2:3: There is no receiver of type "otpl". Did you mean "otlp"?`,
    ...stdout.trimEnd().split('\n').slice(1),
  ])
  for (const line of stdout.trimEnd().split('\n')) t.match(line, /^.*bad\.yaml:\d+:\d+: \S/)
})

t.test('the config that ships is valid, for validate and for the schema that editors use', async t => {
  t.match(await runToEnd(['validate']), { code: 0, stdout: /^OK: .*pipeline\.config\.json\n$/ })
  const { stdout } = await runToEnd(['schema'])
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(
    JSON.parse(stdout) as object,
  )
  const shipped: unknown = JSON.parse(readFileSync(join(packageRoot(), 'pipeline.config.json'), 'utf8'))
  t.ok(validate(shipped), JSON.stringify(validate.errors))
  t.notOk(validate({ service: { pipelines: {} }, receivers: { otlp: { x: 1 } } }))
  t.ok(validate(parse(working())), JSON.stringify(validate.errors))
})

t.test('print-config shows what takes effect, without secrets, and can be run again', async t => {
  const args = ['print-config', '--config', `yaml:${working()}`, '--set', 'service.shutdown_timeout=3s']
  const { code, stdout } = await runToEnd(args)
  t.equal(code, 0)
  t.match(parse(stdout), { service: { shutdown_timeout: '3s', telemetry: { logs: { level: 'info' } } } })
  t.match(await runToEnd(['validate', '--config', `yaml:${stdout}`]), { code: 0 })
  const json = await runToEnd([...args, '--format', 'json'])
  t.strictSame(JSON.parse(json.stdout), parse(stdout))
})

t.test('components lists every one of them', async t => {
  const { stdout } = await runToEnd(['components'])
  const listed = parse(stdout) as Record<string, { name: string }[]>
  for (const { kind, type } of components) {
    t.ok(
      listed[`${kind}s`]?.some(each => each.name === type),
      `${kind} ${type}`,
    )
  }
})

t.test('a reader that has seen enough is no fault', async t => {
  const { child, out, exit } = start(['schema'])
  child.stdout?.destroy()
  t.equal(await exit, 0)
  t.equal(out.stderr, '')
})

t.test('help names every command, and a mistyped one exits 2', async t => {
  const { code, stdout } = await runToEnd(['--help'])
  t.equal(code, 0)
  for (const word of ['run', 'validate', 'components', 'print-config', 'schema', 'Exit codes'])
    t.match(stdout, word)
  t.match(await runToEnd(['valdate']), { code: 2, stderr: /Did you mean validate\?/ })
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  t.match(await runToEnd(['--version']), { code: 0, stdout: `${version}\n` })
})

t.test('run takes spans in, gives them out, drains on SIGTERM and exits 0', async t => {
  const { child, out, exit, until } = start(['run', '--config', `yaml:${working()}`])
  const [, address = ''] = await until(/OTLP\/HTTP.*"address":"([^"]+)"/)
  const [, metrics = ''] = await until(/"metrics":"([^"]+)"/)
  t.equal((await post(address)).status, 200)
  const page = await (await fetch(metrics)).text()
  t.match(page, 'otelcol_receiver_accepted_spans{receiver="otlp"} 1\n')
  t.match(page, 'fullspan_ledger_received_items{pipeline="traces",exporter="file"} 1\n')
  if (process.getuid?.() === 0) {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    t.match(status, /^CapPrm:\t0+$/m, 'no capability is left')
    t.match(status, /^Uid:\t(?!0\t)/m, 'it is not root any more')
  }
  child.kill('SIGTERM')
  t.equal(await exit, 0)
  t.match(JSON.parse(out.stdout), { resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'hello' }] }] }] })
  t.match(out.stderr, /ledger of traces → file .*"received":1,.*"delivered":1/)
})

t.test('what cannot be delivered in time is said, and the exit code is 3; logs can be JSON', async t => {
  const hanging = await listening(() => undefined)
  t.teardown(() => {
    hanging.closeAllConnections()
    hanging.close()
  })
  const text = working()
    .replace('file: {path: "-"}', `otlp_http: {endpoint: "http://localhost:${portOf(hanging)}"}`)
    .replace('[file]', '[otlp_http]')
  const settings = [
    '--set',
    'service.shutdown_timeout=100ms',
    '--set',
    'service.telemetry.logs.encoding=json',
  ]
  const hasOtlpHttp = components.some(each => each.kind === 'exporter' && each.type === 'otlp_http')
  t.test(
    'with a back end that hangs',
    { skip: hasOtlpHttp ? false : 'otlp_http is not built in' },
    async t => {
      const { child, out, exit, until } = start(['run', '--config', `yaml:${text}`, ...settings])
      const [, address = ''] = await until(/OTLP\/HTTP[^\n]*/).then(
        () => /"address":"([^"]+)"/.exec(out.stderr) ?? [],
      )
      t.equal((await post(address)).status, 200)
      child.kill('SIGINT')
      t.equal(await exit, 3)
      const lines = out.stderr
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line) as { level: string; msg: string })
      t.match(lines.at(-1), {
        level: 'error',
        msg: 'dropped 1 items that could not be delivered before the stop',
      })
    },
  )
})

t.test('a plugin that throws where nobody can catch it is said, and the others go on', async t => {
  const folder = t.testdir({
    'plugin.js': `export default {
      kind: 'processor', type: 'careless', description: 'x', stability: 'development', signals: ['traces'],
      schema: { type: 'object', additionalProperties: false, properties: {} },
      create: () => batch => {
        setTimeout(() => { throw new Error('in a timer') }, 1)
        void Promise.reject(new Error('in a promise'))
        return batch
      },
    }`,
    'config.yaml': working('plugins: [./plugin.js]\nprocessors: {careless: }').replace(
      'receivers: [otlp],',
      'receivers: [otlp], processors: [careless],',
    ),
  })
  const { child, out, exit, until } = start(['run', '--config', join(folder, 'config.yaml')])
  const [, address = ''] = await until(/OTLP\/HTTP.*"address":"([^"]+)"/)
  t.equal((await post(address)).status, 200)
  await until(/threw outside of its calls/)
  await until(/left a failed promise behind/)
  t.equal((await post(address)).status, 200)
  child.kill('SIGTERM')
  t.equal(await exit, 0)
  t.equal(out.stdout.trimEnd().split('\n').length, 2)
})

t.test('a second signal quits at once', async t => {
  const hanging = await listening(() => undefined)
  t.teardown(() => {
    hanging.closeAllConnections()
    hanging.close()
  })
  const hasOtlpHttp = components.some(each => each.kind === 'exporter' && each.type === 'otlp_http')
  t.test('while it drains', { skip: hasOtlpHttp ? false : 'otlp_http is not built in' }, async t => {
    const text = working()
      .replace('file: {path: "-"}', `otlp_http: {endpoint: "http://localhost:${portOf(hanging)}"}`)
      .replace('[file]', '[otlp_http]')
    const { child, exit, until } = start(['run', '--config', `yaml:${text}`])
    const [, address = ''] = await until(/OTLP\/HTTP.*"address":"([^"]+)"/)
    await post(address)
    child.kill('SIGTERM')
    await until(/a second signal quits at once/)
    child.kill('SIGTERM')
    t.equal(await exit, 143)
  })
})

t.test('a port that is taken is one line and exit code 1', async t => {
  const taken = await listening((_request, response) => response.end())
  t.teardown(() => void taken.close())
  for (const setting of [
    `service.telemetry.metrics.address=localhost:${portOf(taken)}`,
    `receivers.otlp.protocols.http.endpoint=localhost:${portOf(taken)}`,
  ]) {
    const text = working().replace('{port: 0}', '{address: "localhost:0"}')
    const { code, stderr } = await runToEnd(['run', '--config', `yaml:${text}`, '--set', setting])
    t.equal(code, 1)
    const lines = stderr.trimEnd().split('\n')
    t.equal(lines.length, 1, stderr)
    t.match(lines[0], new RegExp(`localhost:${portOf(taken)}.*taken`))
  }
})

t.test('what has started is stopped again when something else cannot start', async t => {
  const taken = await listening((_request, response) => response.end())
  t.teardown(() => void taken.close())
  const text = working()
    .replace(
      'receivers: {otlp:',
      `receivers: {otlp/2: {protocols: {http: {endpoint: "localhost:${portOf(taken)}"}}}, otlp:`,
    )
    .replace('receivers: [otlp]', 'receivers: [otlp, otlp/2]')
  const { code, stderr } = await runToEnd(['run', '--config', `yaml:${text}`])
  t.equal(code, 1)
  t.match(stderr, /OTLP\/HTTP is listening/)
  t.match(stderr.trimEnd().split('\n').at(-1), new RegExp(`localhost:${portOf(taken)}.*taken`))
})

t.test('print-config hides what a schema calls secret, also in maps of any keys', async t => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    properties: {
      password: { type: 'string', secret: true, description: 'x' },
      headers: {
        type: 'object',
        additionalProperties: { type: 'string', secret: true },
        properties: {},
        description: 'x',
      },
      users: { type: 'array', items: { type: 'string', secret: true }, description: 'x' },
    },
  } as const
  const fake = defineExporter({
    type: 'fake',
    description: 'x',
    stability: 'development',
    signals: ['traces'],
    schema,
    create: () => () => Promise.resolve(),
  })
  const text = 'exporters: {fake: {password: hunter2, headers: {authorization: hunter2}, users: [hunter2]}}'
  const loaded = await loadConfig({ files: [`yaml:${text}`], components: [fake], env: {} })
  const printed = printConfig(loaded, 'json')
  t.notMatch(printed, /hunter2/)
  t.match(JSON.parse(printed), {
    exporters: {
      fake: { password: '[REDACTED]', headers: { authorization: '[REDACTED]' }, users: ['[REDACTED]'] },
    },
  })
})

t.test('a config that is wrong is not started', async t => {
  const { code, stderr, stdout } = await runToEnd(['run', '--config', `yaml:${working('servce: {}')}`])
  t.equal(code, 1)
  t.equal(stdout, '')
  t.equal(stderr, 'yaml::7:1: The config has no section "servce". Did you mean "service"?\n')
})

async function listening(onRequest: Parameters<typeof createServer>[1]): Promise<Server> {
  const server = createServer(onRequest)
  await new Promise<void>(resolve => server.listen(0, 'localhost', resolve))
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
