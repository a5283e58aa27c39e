import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createFlow } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import { checkout, noCapture, startCapture, type Capture } from '../helpers/live-capture.ts'

t.setTimeout(240_000)
const skip = noCapture()
const run = promisify(execFile)
const certificate = join(checkout, 'test/golden/tls/cert.pem')
const key = join(checkout, 'test/golden/tls/key.pem')
const body = 'read in the clear\n'

const has = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const lacks = (...programs: readonly string[]): string | false => {
  const missing = programs.filter(program => !has(program))
  return skip || (missing.length > 0 && `${missing.join(', ')} missing`)
}

interface Server {
  readonly port: number
  stop(): Promise<void>
}

/** Waits for its first line of output, or until its port answers. */
async function serve(command: readonly string[], port: number, speaks = true): Promise<Server> {
  const args = ['--pdeathsig', 'KILL', ...command]
  const [program, ...rest] = ['setpriv', ...args] as const
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  if (speaks) await once(createInterface({ input: child.stdout }), 'line')
  else await wait(500)
  return {
    port,
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function nginx(t: Test, protocols = 'TLSv1.2 TLSv1.3'): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-nginx-'))
  const port = await freePort()
  const file = join(directory, 'nginx.conf')
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${directory}/pid; error_log stderr;
     events { worker_connections 64; }
     http { access_log off; client_body_temp_path ${directory}; proxy_temp_path ${directory};
       fastcgi_temp_path ${directory}; uwsgi_temp_path ${directory}; scgi_temp_path ${directory};
       server { listen 127.0.0.1:${port} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key};
         ssl_protocols ${protocols}; location / { return 200 "${body.trim()}\\n"; } } }`,
  )
  const server = await serve(['nginx', '-c', file], port, false)
  t.teardown(async () => {
    await server.stop()
    rmSync(directory, { recursive: true })
  })
  return server
}

const nodeServer = `
const https = require('node:https'), fs = require('node:fs')
const options = { cert: fs.readFileSync(process.argv[1]), key: fs.readFileSync(process.argv[2]) }
https.createServer(options, (request, response) => response.end(${JSON.stringify(body)})).listen(+process.argv[3], '127.0.0.1', () => console.log('up'))
`
const nodeClient = `
const https = require('node:https')
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
const ask = path => new Promise(done => https.get({ host: '127.0.0.1', port: +process.argv[1], path, agent }, r => r.resume().on('end', done)))
ask('/first').then(() => ask('/second')).then(() => agent.destroy())
`
const pythonServer = `
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '${body.length}'); self.end_headers()
        self.wfile.write(${JSON.stringify(body)}.encode())
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[3])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print('up', flush=True)
server.serve_forever()
`
const asyncioServer = `
import asyncio, ssl, sys
async def serve(reader, writer):
    for _ in range(2):
        await reader.readuntil(b'\\r\\n\\r\\n')
        writer.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n' + ${JSON.stringify(body)}.encode())
        await writer.drain()
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(serve, '127.0.0.1', int(sys.argv[3]), ssl=context)
    print('up', flush=True)
    await server.serve_forever()
asyncio.run(main())
`
const asyncioClient = `
import asyncio, ssl, sys
async def main():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[1]), ssl=context)
    for path in ('/first', '/second'):
        writer.write(f'GET {path} HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n'.encode())
        await reader.readuntil(b'\\r\\n\\r\\n')
        await reader.readexactly(${body.length})
    writer.close()
asyncio.run(main())
`

const servers = {
  nginx,
  async node(t: Test): Promise<Server> {
    const port = await freePort()
    const server = await serve([process.execPath, '-e', nodeServer, certificate, key, String(port)], port)
    t.teardown(server.stop)
    return server
  },
  async python(t: Test): Promise<Server> {
    const port = await freePort()
    const server = await serve(['/usr/bin/python3', '-c', pythonServer, certificate, key, String(port)], port)
    t.teardown(server.stop)
    return server
  },
  async asyncio(t: Test): Promise<Server> {
    const port = await freePort()
    const server = await serve(
      ['/usr/bin/python3', '-c', asyncioServer, certificate, key, String(port)],
      port,
    )
    t.teardown(server.stop)
    return server
  },
}

const clients = {
  curl: (port: number) =>
    run('curl', ['-ks', `https://127.0.0.1:${port}/first`, `https://127.0.0.1:${port}/second`]),
  node: (port: number) => run(process.execPath, ['-e', nodeClient, String(port)]),
  asyncio: (port: number) => run('/usr/bin/python3', ['-c', asyncioClient, String(port)]),
}

/** All spans of connections to that port, in the order of start. */
function spansOf(capture: Capture, port: number): Span[] {
  const flow = createFlow()
  return [...flow.push(capture.events), ...flow.flush()]
    .map(({ span }) => span)
    .filter(span => span.attribute(names.serverPort) === port)
    .toSorted((a, b) => (a.startTimeUnixNano < b.startTimeUnixNano ? -1 : 1))
}

/** Runs the client against the server, and waits until everything about it has come. */
async function exchange(
  capture: Capture,
  server: Server,
  client: (port: number) => Promise<unknown>,
): Promise<Span[]> {
  await client(server.port)
  await wait(300)
  return spansOf(capture, server.port)
}

const keyOf = (span: Span): string =>
  `${Number(span.attribute(names.keyRequestSeq))} ${span.text(names.keyRequestHash)}`

const pairs = [
  ['nginx', 'curl'],
  ['python', 'curl'],
  ['node', 'curl'],
  ['node', 'node'],
  ['nginx', 'node'],
  ['asyncio', 'asyncio'],
  ['python', 'asyncio'],
] as const satisfies readonly (readonly [keyof typeof servers, keyof typeof clients])[]

for (const [serverName, clientName] of pairs) {
  const needed = [serverName, clientName].filter(name => name === 'nginx' || name === 'curl')
  t.test(
    `${clientName} asks ${serverName}: both ends in the clear, the wire in records, one key`,
    { skip: lacks(...needed) },
    async t => {
      const capture = await startCapture({ maxPayloadBytes: 2048, hasTls: true })
      const server = await servers[serverName](t)
      const spans = await exchange(capture, server, clients[clientName])
      await capture.stop()
      for (const path of ['/first', '/second']) {
        const [client, service] = spans.filter(span => span.text(names.urlPath) === path)
        t.ok(client !== undefined && service !== undefined, `${path} is seen at both ends`)
        if (client === undefined || service === undefined) continue
        t.same([client.text(names.observationPoint), service.text(names.observationPoint)], ['c-p', 's-p'])
        for (const span of [client, service]) {
          t.equal(span.name, 'GET')
          t.equal(span.attribute(names.httpResponseStatusCode), 200)
          t.equal(span.text(names.urlScheme), 'https')
          t.equal(span.text(names.tls), 'plaintext')
          t.equal(span.text(names.tlsProtocolVersion), '1.3')
          t.equal(span.text(names.incomplete), '')
        }
        t.match(keyOf(client), /^\d+ [0-9a-f]{16}$/)
        const wire = spans.filter(span => span.text(names.layer) === 'net' && keyOf(span) === keyOf(client))
        t.equal(keyOf(service), keyOf(client), 'by the same key')
        t.equal(wire.length, 1, 'which is that of the leg between')
        t.same([wire[0]?.name, wire[0]?.text(names.tls)], ['TLS', 'records'])
        t.equal(wire[0]?.traceId, client.traceId)
        t.equal(service.traceId, client.traceId)
        t.equal(
          wire[0]?.attribute(names.keyResponseSeq),
          client.attribute(names.keyResponseSeq),
          'response, too',
        )
      }
      const handshakes = spans.filter(span => span.name === 'TLS handshake')
      t.same(
        handshakes.map(span => span.text(names.layer)).toSorted(),
        ['net', 'sys', 'sys'],
        'the handshake is one exchange',
      )
      t.equal(new Set(handshakes.map(keyOf)).size, 1)
      t.equal(spans.length, 9, 'and nothing comes twice')
    },
  )
}

t.test(
  'TLS 1.2: the handshake told which, and nothing is taken for a ticket',
  { skip: lacks('nginx', 'curl') },
  async t => {
    const capture = await startCapture({ maxPayloadBytes: 2048, hasTls: true })
    const server = await nginx(t, 'TLSv1.2')
    await clients.curl(server.port)
    const spans = await exchange(capture, server, clients.node)
    await capture.stop()
    const read = spans.filter(span => span.text(names.tls) === 'plaintext')
    t.same(read.map(span => `${span.text(names.observationPoint)} ${span.text(names.urlPath)}`).toSorted(), [
      'c-p /first',
      'c-p /first',
      'c-p /second',
      'c-p /second',
      's-p /first',
      's-p /first',
      's-p /second',
      's-p /second',
    ])
    for (const span of read) {
      t.equal(span.attribute(names.tlsProtocolVersion), '1.2')
      t.match(span.text(names.tlsCipher), /^TLS_ECDHE_ECDSA_WITH_/)
      const wire = spans.filter(each => each.text(names.layer) === 'net' && keyOf(each) === keyOf(span))
      t.equal(wire.length, 1)
    }
  },
)

const longServer = nodeServer.replace(JSON.stringify(body), "'x'.repeat(300_000)")

t.test(
  'a long answer, in memory and in records cut anywhere, is one answer',
  { skip: lacks('curl') },
  async t => {
    const capture = await startCapture({ maxPayloadBytes: 2048, hasTls: true })
    const port = await freePort()
    const server = await serve([process.execPath, '-e', longServer, certificate, key, String(port)], port)
    t.teardown(server.stop)
    const spans = await exchange(capture, server, clients.curl)
    await capture.stop()
    const read = spans.filter(span => span.text(names.tls) === 'plaintext')
    t.same(read.map(span => `${span.text(names.observationPoint)} ${span.text(names.urlPath)}`).toSorted(), [
      'c-p /first',
      'c-p /second',
      's-p /first',
      's-p /second',
    ])
    for (const span of read) {
      t.equal(span.attribute(names.httpResponseStatusCode), 200)
      t.ok(Number(span.attribute(names.responseSize)) > 300_000, 'all of it')
      t.equal(span.text(names.incomplete), '')
    }
  },
)

t.test(
  'off: records only; and what a filter leaves out is not read either',
  { skip: lacks('nginx', 'curl') },
  async t => {
    const server = await nginx(t)
    const off = await startCapture({ maxPayloadBytes: 2048, hasTls: false })
    const spans = await exchange(off, server, clients.curl)
    await off.stop()
    t.same(
      off.events.filter(event => event.type === 'tls_data'),
      [],
    )
    t.same([...new Set(spans.map(span => span.text(names.tls)))], ['records'])
    t.same(
      spans.map(span => span.text(names.layer)).filter(layer => layer === 'sys').length,
      6,
      'SYS spans of records',
    )

    const none = { ports: [], namespaces: [], cidrs: [], pids: [], cgroups: [] }
    const filtered = await startCapture({
      hasTls: true,
      filter: { include: none, exclude: { ports: [server.port] } },
    })
    const left = await exchange(filtered, server, clients.curl)
    await filtered.stop()
    // A read that the handshake's bytes answer touches no socket: its text has none, and becomes nothing.
    const told = filtered.events.filter(
      event =>
        event.type === 'tls_data' && event.cookie !== 0n && Buffer.from(event.payload).includes('/first'),
    )
    t.same(told, [])
    t.same(
      left.filter(span => span.text('url.path') === '/first'),
      [],
    )
  },
)

t.test('a library that appears later is found', { skip: lacks('curl') }, async t => {
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-library-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const capture = await startCapture({ maxPayloadBytes: 2048, hasTls: true })
  const libraries = execFileSync('sh', ['-c', 'ldconfig -p | grep -o "/.*libssl\\.so\\.3$" | head -1'], {
    encoding: 'utf8',
  })
  copyFileSync(libraries.trim(), join(directory, 'libssl.so.3'))
  const port = await freePort()
  const environment = ['env', `LD_LIBRARY_PATH=${directory}`]
  const server = await serve(
    [...environment, '/usr/bin/python3', '-c', pythonServer, certificate, key, String(port)],
    port,
  )
  t.teardown(server.stop)
  for (
    let waited = 0;
    waited < 5000 && !capture.messages.some(line => line.includes(directory));
    waited += 50
  )
    await wait(50)
  t.ok(
    capture.messages.some(line => line.startsWith(`reads TLS in ${directory}/libssl.so.3 (`)),
    'and said',
  )
  const spans = await exchange(capture, server, clients.curl)
  await capture.stop()
  const read = spans.filter(span => span.text(names.tls) === 'plaintext')
  t.equal(read.filter(span => span.text(names.observationPoint) === 's-p').length, 2)
})
