import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { isReceived, noCapture, python, startCapture } from '../helpers/live-capture.ts'
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
