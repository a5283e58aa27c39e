import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import t from 'tap'
import { checkout, isReceived, noCapture, python, startCapture } from '../helpers/live-capture.ts'
import ebpf from '../../receivers/ebpf/index.ts'
import { receiverBench } from '../helpers/context.ts'
import { runFullspan } from '../helpers/running-fullspan.ts'

t.setTimeout(240_000)
const skip = noCapture()

const statusOf = (pid: number): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(`/proc/${pid}/status`, 'utf8')
      .split('\n')
      .map(line => [line.split(':')[0] ?? '', line.slice(line.indexOf(':') + 1).trim()]),
  )
const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )

/** BPF 39, PERFMON 38, SYS_ADMIN 21, SYS_PTRACE 19, DAC_READ_SEARCH 2. */
const needed = '000000c000280004'
const none = '0000000000000000'

const config = `yaml:
receivers: { ebpf: { net: true } }
exporters: { debug: {} }
service:
  telemetry: { metrics: { level: none }, logs: { encoding: json } }
  pipelines: { traces: { receivers: [ebpf], exporters: [debug] } }
`

t.test('every process of a running Fullspan has only the rights that it needs', { skip }, async t => {
  const running = await runFullspan(t, config)
  const node = statusOf(running.pid)
  t.same(
    node.get('Uid')?.split('\t'),
    Array.from({ length: 4 }, () => '65534'),
    'an ordinary user',
  )
  for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) t.equal(node.get(set), none, `Node's ${set}`)
  const [supervisor] = childrenOf(running.pid)
  const probes = [supervisor!, ...childrenOf(supervisor!)]
  t.equal(probes.length, 2)
  for (const [index, pid] of probes.entries()) {
    const status = statusOf(pid)
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) t.equal(status.get(set), needed, `${pid} ${set}`)
    for (const set of ['CapInh', 'CapAmb']) t.equal(status.get(set), none, `${pid} ${set}`)
    t.equal(status.get('NoNewPrivs'), '1')
    t.equal(status.get('Seccomp'), '2', 'filtered')
    t.equal(status.get('Seccomp_filters'), String(index + 1), 'the capturing process twice')
  }
  await running.stop()
  t.notOk(probes.some(pid => readdirSync('/proc').includes(String(pid))))
})

t.test('a filter leaves the probe what it needs, whatever the settings', { skip }, async t => {
  for (const options of [
    { sysTier: 'syscall' },
    { sendStart: 'packet', budget: { maxCpuPercent: 90 } },
    { hasUnix: true, hasNet: false },
  ] as const) {
    const capture = await startCapture(options)
    const program = python(`import socket
s = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(s.getsockname()); b, _ = s.accept()
a.sendall(b'confined'); b.recv(10)`)
    await program.done()
    await capture.untilAny(isReceived('confined'))
    await new Promise(resolve => setTimeout(resolve, 1200)) // what is done every second
    await capture.stop()
    t.same(capture.messages, [])
    const process = capture.events.find(event => event.type === 'process' && event.pid === program.pid)
    t.match(process, { name: 'python3' })
  }
})

const noLists = { ports: [], network_namespaces: [], cidrs: [], pids: [], cgroups: [] }
const settings = {
  net: true,
  max_payload_bytes: 2048,
  udp_ports: [53],
  exclude_ports: [],
  network_namespaces: [],
  unix: false,
  tls: { enabled: false },
  filter: { include: noLists, exclude: noLists },
  sys_tier: 'auto',
  net_tier: 'auto',
  send_start: 'auto',
  budget: {},
  service_name: [],
  record_max_size: 1024,
  replay_pace: 'fast',
} as const

/** What systemd does for a socket unit: listens, waits for a connection, and starts the program with the listening socket as 3. */
const activatorCode = `
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print('listening')
select.select([s], [], [])
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], [sys.argv[2], '--activated', '--no-unix'])
`

t.test('the probe as a service: started by a connection, ended by its end', { skip }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'fullspan-')) // the path of a Unix socket is short
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'probe.sock')
  const args = ['-u', '-I', '-c', activatorCode, path, join(checkout, 'bpf/build/fullspan-probe')]
  const service = spawn('/usr/bin/python3', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => service.kill('SIGKILL'))
  await once(service.stdout, 'data')
  const bench = receiverBench()
  const done = bench.run(await ebpf.create({ ...settings, probe_socket: path }, bench.context))
  const program = python(`import socket
s = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(s.getsockname()); b, _ = s.accept()
a.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); b.recv(100)
b.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n'); a.recv(100)`)
  await program.done()
  const exited = once(service, 'exit')
  await new Promise(resolve => setTimeout(resolve, 1500))
  bench.stop()
  await done
  t.same(await exited, [0, null])
  t.ok(bench.intakes.length > 0, 'spans came')
  await t.rejects(
    async () => {
      await ebpf.create({ ...settings, probe_socket: path }, receiverBench().context)
    },
    { code: 'EBPF_CANNOT_CAPTURE', message: /no probe at/ },
  )
})

t.test('the units are as systemd wants them', t => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
    t.pass('systemd-analyze is not installed')
    t.end()
    return
  }
  const units = ['fullspan-probe.socket', 'fullspan-probe.service', 'fullspan.service']
  const { stderr } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', ...units.map(unit => join(checkout, 'bpf/systemd', unit))],
    { encoding: 'utf8' },
  )
  // Nothing is installed under /opt here; everything else it says is a mistake.
  const mistakes = stderr
    .split('\n')
    .filter(line => line.includes('fullspan') && !/is not executable/.test(line))
  t.same(mistakes, [])
  t.end()
})

/** 50 or more by FULLSPAN_CYCLES. */
const cycles = Number(process.env['FULLSPAN_CYCLES'] ?? 10)

t.test(`started and ended ${cycles} times under load, in every way, nothing is left`, { skip }, async t => {
  const loaded = (what: string): string[] =>
    spawnSync('bpftool', [what, 'list'], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter(line => /^\d+: /.test(line) && ownNames.test(line))
  const before = ['prog', 'map'].flatMap(loaded)
  const load = python(`import socket, sys
s = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(s.getsockname()); b, _ = s.accept()
count = 0
print('ready')
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    a.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); assert len(b.recv(100)) == 18
    b.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n'); assert len(a.recv(100)) == 27
    count += 1
print(count)`)
  t.equal(await load.line(), 'ready')
  for (let cycle = 0; cycle < cycles; cycle++) {
    const capture = await startCapture()
    const [supervisor] = childrenOf(process.pid).filter(pid => statusOf(pid).get('Name') === 'fullspan-probe')
    const pids = [supervisor!, ...childrenOf(supervisor!)]
    if (cycle % 3 === 0) await capture.stop()
    else {
      process.kill(supervisor!, cycle % 3 === 1 ? 'SIGKILL' : 'SIGTERM')
      await t.rejects(capture.ended, { code: 'EBPF_CAPTURE_ENDED' })
    }
    while (pids.some(pid => isRunning(pid))) await new Promise(resolve => setTimeout(resolve, 10))
  }
  load.say('end')
  t.ok(Number(await load.line()) > 100, 'what was traced went on undisturbed')
  await load.done()
  // the kernel frees what nobody holds a moment later
  const left = (): string[] => ['prog', 'map'].flatMap(loaded).filter(line => !before.includes(line))
  for (let tries = 0; tries < 100 && left().length > 0; tries++)
    await new Promise(resolve => setTimeout(resolve, 50))
  t.same(left(), [])
})

/** Of programs and maps that only the probe has. */
const ownNames =
  /name (?:socket_|call_|packet_|process_|known_proces|own_|verdicts|listeners|seed_sockets|tcp_send|send_enter)/

/** A zombie that nobody has waited for yet runs no more. */
const isRunning = (pid: number): boolean => {
  try {
    return statusOf(pid).get('State')?.startsWith('Z') !== true
  } catch {
    return false
  }
}
