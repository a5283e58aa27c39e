import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lastValueFrom, toArray } from 'rxjs'
import { packageRoot } from '../../core/package-root.ts'
import type { CaptureEvent } from '../../flow/events.ts'
import { defaultServiceNameRules } from '../../flow/service-name.ts'
import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import ebpf from '../../receivers/ebpf/index.ts'
import { replay } from '../../receivers/ebpf/recording.ts'
import { receiverBench, type ReceiverBench } from '../helpers/context.ts'
import { checkout, makeNamespaces, noCapture, python } from '../helpers/live-capture.ts'

t.setTimeout(240_000)
const skip = noCapture()

/** Answers HTTP requests in its own thread each, keep-alive; asks itself some on two connections, one after another. */
const trafficCode = `
import http.client, http.server, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def do_GET(self):
        body = self.path.encode() * 100
        self.send_response(200 if 'a' in self.path else 404); self.send_header('Content-Length', str(len(body))); self.end_headers()
        if 'slow' in self.path: time.sleep(0.3)
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1])
for line in sys.stdin:
    for i in range(2):
        c = http.client.HTTPConnection(*server.server_address)
        for path in ('/a', '/b', '/slow-a', '/a2'):
            c.request('GET', path); c.getresponse().read()
        if i: c.close()
    print('asked')
`

const noLists = { ports: [], network_namespaces: [], cidrs: [], pids: [], cgroups: [] }
const defaults = {
  net: true,
  max_payload_bytes: 2048,
  udp_ports: [53],
  exclude_ports: [],
  network_namespaces: [],
  unix: false,
  tls: { enabled: false }, // programs speak to these tests by Unix sockets
  filter: { include: noLists, exclude: noLists },
  sys_tier: 'auto',
  net_tier: 'auto',
  send_start: 'auto',
  budget: {},
  service_name: defaultServiceNameRules,
  record_max_size: 64 * 1024 * 1024,
  replay_pace: 'fast',
} as const

t.test(
  'a replay gives the spans that were given live, to the byte, fast and in real time',
  { skip },
  async t => {
    const path = join(t.testdir(), 'live.rec')
    const namespaces = makeNamespaces(`fsr${process.pid % 1000}`)
    t.teardown(namespaces.remove)
    const bench = receiverBench()
    const live = bench.run(await ebpf.create({ ...defaults, record: path }, bench.context))
    const near = python(trafficCode, { args: ['127.0.0.1'] })
    const port = Number(await near.line())
    const far = python(farCode, { args: [namespaces.addressB, String(port)], netns: namespaces.a })
    const server = python(trafficCode, { args: [namespaces.addressB], netns: namespaces.b })
    const farPort = await server.line()
    for (let round = 0; round < 3; round++) {
      for (const program of [near, server]) program.say('ask')
      await Promise.all([near.line(), server.line()])
      far.say(farPort)
      await far.line()
    }
    await Promise.all([near.kill(), far.kill(), server.kill()])
    await new Promise(resolve => setTimeout(resolve, 1500)) // responses without a known end are over after a second
    const before = spansOf(bench).length
    bench.stop()
    await live
    const given = bytesOf(bench)
    t.ok(before > 60, `${before} of ${given.length} spans came before the stop`)
    t.ok(
      ['c-p', 'c', 'c-nd', 's-nd', 's', 's-p', 'local'].every(point =>
        spansOf(bench).some(span => span.text(names.observationPoint) === point),
      ),
    )
    for (const pace of ['fast', 'real_time', 'fast'] as const) {
      const again = receiverBench()
      const receiver = await ebpf.create({ ...defaults, replay: path, replay_pace: pace }, again.context)
      const done = again.run(receiver)
      while (bytesOf(again).length < given.length) await new Promise(resolve => setTimeout(resolve, 20))
      again.stop()
      await done
      t.ok(
        bytesOf(again).every((bytes, index) => bytes === given[index]),
        `${pace}: the same bytes in the same order`,
      )
      t.equal(bytesOf(again).length, given.length)
    }
  },
)

const farCode = `
import http.client, sys
for line in sys.stdin:
    c = http.client.HTTPConnection(sys.argv[1], int(line))
    c.request('GET', '/far'); c.getresponse().read(); c.close()
    print('asked')
`

const spansOf = (bench: ReceiverBench): Span[] =>
  bench.intakes.flatMap(({ batch }) => batch.groups.flatMap(({ spans }) => spans))

/** Of each span the bytes of its resource and its own; sorted, since what is finished at once is one intake, grouped by resource. */
const bytesOf = (bench: ReceiverBench): string[] =>
  bench.intakes
    .flatMap(({ batch }) =>
      batch.groups.flatMap(({ resource, spans }) =>
        spans.map(
          span =>
            `${Buffer.from(resource.bytes ?? []).toString('hex')} ${Buffer.from(span.bytes).toString('hex')}`,
        ),
      ),
    )
    .sort()

t.test('fullspan record writes what a filter leaves, and ends at its duration', { skip }, async t => {
  const path = join(t.testdir(), 'some.rec')
  const program = python(trafficCode, { args: ['127.0.0.1'] })
  t.teardown(() => program.kill())
  const port = await program.line()
  const recording = record('-o', path, '--port', port, '--duration', '4s', '--no-unix')
  const asking = setInterval(() => program.say('ask'), 500)
  const { code, stderr } = await recording
  clearInterval(asking)
  t.equal(code, 0, stderr)
  t.match(stderr, /some\.rec: \d+ sends and receives, \d+ packets in \d\.\d s\n$/)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const events = await eventsOf(path)
  t.equal(events[0]?.type, 'host')
  const data = events.filter(event => event.type === 'socket_data')
  t.ok(data.length > 0)
  t.ok(data.every(event => event.local.port === Number(port) || event.remote.port === Number(port)))
})

t.test('fullspan record ends cleanly on Ctrl-C, twice the same way, and at its size', { skip }, async t => {
  const folder = t.testdir()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const path = join(folder, `${signal}.rec`)
    const child = spawn(process.execPath, [main, 'record', '-o', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    while (!existsSync(path) || statSync(path).size <= 16)
      await new Promise(resolve => setTimeout(resolve, 50))
    child.kill(signal)
    t.same(await once(child, 'exit'), [0, null])
    t.equal((await eventsOf(path))[0]?.type, 'host')
  }
  const small = await record('-o', join(folder, 'small.rec'), '--max-size', '3KiB', '--duration', '60s')
  t.equal(small.code, 0)
  t.match(small.stderr, /ended early: the recording is full: 3072 bytes\n$/)
})

t.test('a disk that fills up ends the recording, not the capture', { skip }, async t => {
  const folder = t.testdir()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', folder], { stdio: 'ignore' })
  } catch {
    t.comment('cannot mount a small disk here')
    return
  }
  const path = join(folder, 'full.rec')
  const bench = receiverBench()
  const live = bench.run(await ebpf.create({ ...defaults, record: path }, bench.context))
  const program = python(trafficCode, { args: ['127.0.0.1'] })
  await program.line()
  while (!JSON.stringify(bench.log).includes('no space left')) {
    program.say('ask')
    await program.line()
  }
  const before = spansOf(bench).length
  program.say('ask')
  await program.line()
  await program.kill()
  bench.stop()
  await live
  t.match(JSON.stringify(bench.log), /cannot write to .*full\.rec/)
  t.ok(spansOf(bench).length > before, 'spans go on')
  t.ok((await eventsOf(path)).length > 0, 'what was written is whole up to its last record')
  execFileSync('umount', [folder])
})

t.test('fullspan record says which option is wrong, and where it cannot write', async t => {
  for (const [args, message] of [
    [['--duration', 'soon'], '--duration must be such as 30s, but is "soon".'],
    [['--port', '70000'], '--port must be a whole number from 1 to 65535, but is "70000".'],
    [['--max-payload', '7'], '--max-payload must be a whole number from 32 to 8192, but is "7".'],
  ] as const) {
    const { code, stderr } = await record('-o', join(t.testdir(), 'x.rec'), ...args)
    t.equal(code, 1)
    t.equal(stderr, `${message}\n`)
  }
  if (!existsSync(join(checkout, 'bpf/build/fullspan-probe'))) return
  const { code, stderr } = await record('-o', '/nowhere/x.rec')
  t.equal(code, 1)
  t.match(stderr, /^ebpf cannot record to \/nowhere\/x\.rec: ENOENT/)
})

const main = join(packageRoot(), 'dist/cli/main.js')

const record = (...args: string[]): Promise<{ code: number; stderr: string }> =>
  new Promise(resolve => {
    execFile(process.execPath, [main, 'record', ...args], (error, _stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stderr }),
    )
  })

const eventsOf = async (path: string): Promise<CaptureEvent[]> =>
  (await lastValueFrom(replay(path, { pace: 'fast' }).pipe(toArray()), { defaultValue: [] })).flat()
