import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { CaptureEvent, LevelEvent } from '../../flow/events.ts'
import { createFlow } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import type { FilterLists, ProbeBudget } from '../../receivers/ebpf/probe.ts'
import {
  isReceived,
  makeNamespaces,
  noCapture,
  python,
  startCapture,
  textOf,
  type Capture,
  type Program,
} from '../helpers/live-capture.ts'

t.setTimeout(240_000)
const skip = noCapture()

/** Records that the kernel side counts as seen. */
const counted = new Set<CaptureEvent['type']>([
  'socket_data',
  'socket_close',
  'socket_counts',
  'packet',
  'network',
  'own_connection',
  'process_exit',
])

interface Account {
  readonly seen: bigint
  readonly delivered: bigint
  readonly lost: Readonly<Record<string, bigint>>
}

const accountOf = (events: readonly CaptureEvent[]): Account => {
  const lost: Record<string, bigint> = {}
  let seen = 0n
  for (const event of events) {
    if (event.type !== 'loss') continue
    ;({ seen } = event)
    for (const [reason, count] of Object.entries(event.reasons)) {
      if (reason !== 'payload_fault') lost[reason] = (lost[reason] ?? 0n) + BigInt(count)
    }
  }
  return { seen, delivered: BigInt(events.filter(event => counted.has(event.type)).length), lost }
}

const checkAccount = (t: Test, events: readonly CaptureEvent[]): Account => {
  const account = accountOf(events)
  const { lost: reasons } = account
  const lost = Object.values(reasons).reduce((sum, count) => sum + count, 0n)
  t.equal(account.seen, account.delivered + lost, 'seen = delivered + lost, to the unit')
  return account
}

/** Stops the process that empties the ring, for a time. */
async function whileNobodyReads(wait: () => Promise<unknown>): Promise<void> {
  const childrenOf = (pid: number): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  const capturing = childrenOf(process.pid)
    .filter(pid => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('fullspan-probe'))
    .flatMap(childrenOf)
  for (const pid of capturing) process.kill(pid, 'SIGSTOP')
  await wait()
  for (const pid of capturing) process.kill(pid, 'SIGCONT')
}

/** Exchanges number after number on one connection, as fast as can be: the response's length tells whose it is. */
const manyExchanges = `
import socket, sys
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
print(s.getsockname()[1])
for i in range(int(sys.argv[1])):
    a.sendall(b'GET /%d HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n' % i); b.recv(1000)
    body = b'x' * (i % 700)
    b.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %03d\\r\\n\\r\\n' % len(body) + body); a.recv(2000)
`
const headLength = 'HTTP/1.1 200 OK\r\nContent-Length: 000\r\n\r\n'.length

for (const tier of ['sock', 'syscall'] as const) {
  t.test(
    `tier ${tier}: an overflowing ring is accounted for, and marks what it touched`,
    { skip },
    async t => {
      const capture = await startCapture({ sysTier: tier, hasNet: false, ringBytes: 65_536 })
      const program = python(manyExchanges, { args: ['30000'] })
      const port = Number(await program.line())
      await sleep(100)
      await whileNobodyReads(() => sleep(300))
      await program.done()
      await capture.untilAny(event => event.type === 'loss')
      await capture.stop()
      const { lost } = checkAccount(t, capture.events)
      t.ok((lost['ring_full'] ?? 0n) > 0n, 'the ring was made too small on purpose')

      const flow = createFlow()
      const ours = capture.events.filter(
        event => event.type !== 'socket_data' || event.local.port === port || event.remote.port === port,
      )
      const spans = [...flow.push(ours), ...flow.flush()].map(({ span }) => span)
      const whole = spans.filter(span => span.text(names.incomplete) === '')
      const touched = spans.filter(span => span.text(names.incomplete) !== '')
      t.ok(whole.length > 0 && touched.length > 0)
      const isRight = (path: string, size: unknown): boolean =>
        size === headLength + (Number(path.slice(1)) % 700)
      t.ok(
        whole.every(span => isRight(span.text('url.path'), span.attribute(names.responseSize))),
        'a span without a mark has its own response, whole',
      )
    },
  )
}

/** Asks 127.0.0.1 and 127.0.0.2 on two ports each. Prints the ports. */
const fourConnections = `
import socket, sys
listeners = [socket.create_server((host, 0)) for host in ('127.0.0.1', '127.0.0.2') for _ in range(2)]
print(*(l.getsockname()[1] for l in listeners)); sys.stdin.readline()
for i, l in enumerate(listeners):
    a = socket.create_connection(l.getsockname()); b, _ = l.accept()
    a.sendall(b'to %d' % i); b.recv(100); a.close(); b.close()
`
/** Which of the four were seen by system calls, and which by packets, as digits. */
const seenOf = (capture: Capture): [string, string] => {
  const digits = (type: 'socket_data' | 'packet'): string =>
    [
      ...new Set(
        capture.events
          .flatMap(event => (event.type === type ? [textOf(event)] : []))
          .flatMap(text => (/^to (\d)/.exec(text) ?? []).slice(1)),
      ),
    ]
      .toSorted()
      .join('')
  return [digits('socket_data'), digits('packet')]
}

/** Runs the four connections under a filter that may name their ports and process. */
async function seenUnder(
  makeFilter: (ports: number[], pid: number) => { include?: FilterLists; exclude?: FilterLists },
): Promise<[string, string]> {
  const program = python(fourConnections)
  const ports = (await program.line()).split(' ').map(Number)
  const filter = { include: {}, exclude: {}, ...makeFilter(ports, program.pid) }
  const capture = await startCapture({ filter })
  program.say('go')
  await program.done()
  const end = python(
    `import socket; s = socket.create_server(('127.0.0.3', 0)); a = socket.create_connection(s.getsockname()); a.close()`,
  )
  await end.done()
  await sleep(100) // what is not to come has no event to wait for: longer than the probe holds anything
  await capture.stop()
  checkAccount(t, capture.events)
  return seenOf(capture)
}

t.test('filters leave out in the kernel what is not wanted', { skip }, async t => {
  t.same(await seenUnder(([one]) => ({ exclude: { ports: [one!] } })), ['123', '123'], 'a port')
  t.same(
    await seenUnder(([one, two]) => ({ include: { ports: [one!, two!] } })),
    ['01', '01'],
    'only these ports',
  )
  t.same(
    await seenUnder(([one, two]) => ({ include: { ports: [one!, two!] }, exclude: { ports: [two!] } })),
    ['0', '0'],
    'exclusion wins',
  )
  t.same(await seenUnder(() => ({ exclude: { cidrs: ['127.0.0.2'] } })), ['01', '01'], 'an address')
  t.same(await seenUnder(() => ({ include: { cidrs: ['127.0.0.2/31'] } })), ['23', '23'], 'only a prefix')
  t.same(
    await seenUnder(([one]) => ({ include: { cidrs: ['127.0.0.0/8', 'fd00::/8'], ports: [one!] } })),
    ['0', '0'],
    'each kind of list must agree',
  )
  t.same(
    await seenUnder((_, pid) => ({ exclude: { pids: [pid] } })),
    ['', '0123'],
    'a process: packets have none',
  )
  t.same(await seenUnder(() => ({ include: { pids: [1] } })), ['', '0123'], 'only a process')
})

t.test('filters by network namespace, for system calls and packets', { skip }, async t => {
  const namespaces = makeNamespaces(`fsf${process.pid % 1000}`)
  t.teardown(namespaces.remove)
  const listener = python(
    `import socket; s = socket.create_server(('0.0.0.0', 8123)); print('ready')\nwhile True: s.accept()[0].recv(100)`,
    { netns: namespaces.b },
  )
  await listener.line()
  const inode = statSync(`/run/netns/${namespaces.a}`).ino
  const capture = await startCapture({ filter: { include: { namespaces: [inode] }, exclude: {} } })
  const client = python(
    `import socket, sys; socket.create_connection((sys.argv[1], 8123)).sendall(b'across')`,
    { netns: namespaces.a, args: [namespaces.addressB] },
  )
  await client.done()
  await capture.untilAny(event => event.type === 'packet' && textOf(event) === 'across')
  await listener.kill()
  await capture.stop()
  const events = capture.events.filter(event => event.type === 'socket_data' || event.type === 'packet')
  t.ok(events.length >= 2)
  t.ok(events.every(event => event.netns === inode))
})

t.test('filters by control group, and those below it', { skip }, async t => {
  const root = ['/sys/fs/cgroup', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/pids'].find(folder =>
    existsSync(`${folder}/cgroup.procs`),
  )
  const group = `/fullspan-test-${process.pid}`
  try {
    mkdirSync(`${root}${group}/below`, { recursive: true })
  } catch (error) {
    t.pass(`control groups cannot be made here: ${String(error)}`)
    return
  }
  t.teardown(() => {
    rmdirSync(`${root}${group}/below`)
    rmdirSync(`${root}${group}`)
  })
  const seen = async (filter: { include: FilterLists; exclude: FilterLists }): Promise<string> => {
    const program = python(fourConnections)
    await program.line()
    writeFileSync(`${root}${group}/below/cgroup.procs`, String(program.pid))
    const capture = await startCapture({ filter })
    program.say('go')
    await program.done()
    await capture.untilAny(event => event.type === 'packet' && textOf(event) === 'to 3')
    await sleep(50)
    await capture.stop()
    return seenOf(capture)[0]
  }
  t.equal(await seen({ include: { cgroups: [group] }, exclude: {} }), '0123')
  t.equal(await seen({ include: {}, exclude: { cgroups: [group] } }), '')
})

/** Lets flow steer the probe, as the receiver does. */
function steer(capture: Capture): { advised: string[]; stop(): void } {
  const flow = createFlow()
  const advised: string[] = []
  let at = 0
  const timer = setInterval(() => {
    flow.push(capture.events.slice(at))
    at = capture.events.length
    const advice = flow.takeAdvice()
    advised.push(...advice.map(({ mode }) => mode))
    if (advice.length > 0) capture.probe.advise(advice)
  }, 5)
  return { advised, stop: () => clearInterval(timer) }
}

t.test('a connection of which nothing is to be learnt is only counted, to the byte', { skip }, async t => {
  const capture = await startCapture({ hasNet: false })
  const steering = steer(capture)
  const program = python(`
import socket, time
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
print(s.getsockname()[1])
for i in range(200):
    a.sendall(b'\\x01\\x02\\x03' * 5); b.recv(100); b.sendall(b'\\x04\\x05' * 5); a.recv(100)
    if i % 20 == 0: time.sleep(0.02)
a.close(); b.close(); time.sleep(0.1)
`)
  const port = Number(await program.line())
  await program.done()
  await capture.untilAny(event => event.type === 'process_exit' && event.pid === program.pid)
  steering.stop()
  await capture.stop()
  t.same([...new Set(steering.advised)], ['counts'])
  const data = capture.events
    .filter(event => event.type === 'socket_data')
    .filter(event => event.remote.port === port)
  t.ok(data.length < 390, `${data.length} events of 400: until the verdict came, which a busy machine delays`)
  const counts = capture.events.filter(event => event.type === 'socket_counts')
  const [cookie] = data.map(event => event.cookie)
  const mine = counts.filter(event => event.cookie === cookie)
  const sum = (list: readonly number[]): number => list.reduce((all, each) => all + each, 0)
  const seen = (direction: string): number[] =>
    data.filter(event => event.direction === direction).map(event => event.length)
  t.equal(sum(seen('send')) + sum(mine.map(event => event.sentBytes)), 200 * 15)
  t.equal(sum(seen('receive')) + sum(mine.map(event => event.receivedBytes)), 200 * 10)
  checkAccount(t, capture.events)
})

t.test(
  'of a known protocol the heads of each turn are captured; pipelining gets everything',
  { skip },
  async t => {
    const capture = await startCapture({ hasNet: false, maxPayloadBytes: 4096 })
    const steering = steer(capture)
    const server = python(`
import socket, time
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
print(s.getsockname()[1])
get = b'GET /%d HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n'
for i in range(3):
    a.sendall(get % i); b.recv(1000)
    b.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 60000\\r\\n\\r\\n')
    for _ in range(15): b.sendall(b'y' * 4000); a.recv(4000, socket.MSG_WAITALL)
    a.recv(100); time.sleep(0.05)
a.sendall(get % 3 + get % 4); b.recv(1000); b.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n' * 2); a.recv(1000)
time.sleep(0.05)
`)
    const port = Number(await server.line())
    await server.done()
    await capture.untilAny(event => event.type === 'process_exit' && event.pid === server.pid)
    steering.stop()
    await capture.stop()
    const flow = createFlow()
    const spans = [...flow.push(capture.events), ...flow.flush()].map(({ span }) => span)
    t.same([...new Set(steering.advised)], ['heads', 'whole'])
    const bodies = capture.events
      .filter(event => event.type === 'socket_data')
      .filter(
        event => event.direction === 'send' && event.local.port === port && textOf(event).startsWith('y'),
      )
    const bytes = bodies.reduce((sum, event) => sum + event.payload.length, 0)
    t.ok(bytes < 3 * 60_000 * 0.75, `${bytes} of 180000 bytes`)
    t.ok(
      capture.events.some(
        event => event.type === 'socket_data' && event.length === 4000 && !event.payload.length,
      ),
    )
    const served = spans.filter(
      span => span.text(names.observationPoint) === 's-p' && span.number(names.serverPort) === port,
    )
    t.same(
      served.map(span => span.text('url.path')),
      ['/0', '/1', '/2', '/3', '/4'],
    )
    t.ok(served.every(span => span.text(names.incomplete) === ''))
  },
)

const levels = (capture: Capture): LevelEvent[] => capture.events.filter(event => event.type === 'level')

/** Loads its connections for so many seconds, and moves one message more when it is told to. */
const load = `
import socket, sys, time
pairs = []
for _ in range(32):
    s = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(s.getsockname()); pairs.append((a, s.accept()[0]))
print('ready'); sys.stdin.readline(); end = time.time() + float(sys.argv[1])
while time.time() < end:
    for a, b in pairs: a.send(b'load' * 100); b.recv(1000)
print('loaded'); sys.stdin.readline()
a.send(b'back' * 200); b.recv(1000)
`

/** Only that program's system calls count: others run on this machine, too. */
async function underLoad(
  budget: ProbeBudget,
  seconds: number,
): Promise<{ capture: Capture; program: Program }> {
  const program = python(load, { args: [String(seconds)] })
  await program.line()
  const filter = { include: { pids: [program.pid] }, exclude: {} }
  const capture = await startCapture({ hasNet: false, filter, budget, ownPids: [process.pid] })
  program.say('go')
  await program.line()
  return { capture, program }
}

t.test('over its budget of events capture steps down, and up again', { skip }, async t => {
  const { capture, program } = await underLoad({ maxEventsPerSecond: 2000 }, 4)
  const top = levels(capture).reduce((most, event) => Math.max(most, event.level), 0)
  t.ok(top >= 3, `level ${top}`)
  const lowest = levels(capture).find(event => event.level === top)!
  t.ok(lowest.share < 1 && lowest.maxPayloadBytes === 256)
  const isUp = (): boolean => levels(capture).at(-1)?.level === 0
  for (let waitedMs = 0; !isUp() && waitedMs < 40_000; waitedMs += 200) await sleep(200)
  t.ok(isUp(), 'with nothing to do it is back in full')
  program.say('back')
  await program.done()
  await capture.untilAny(isReceived('back'))
  await capture.stop()
  t.equal(capture.sent('back')!.payload.length, 800)
  const { lost } = checkAccount(t, capture.events)
  t.ok((lost['budget'] ?? 0n) > 0n, 'what was left out is counted by its reason')
})

t.test('over its budget of processor time capture steps down', { skip }, async t => {
  const { capture, program } = await underLoad({ maxCpuPercent: 1 }, 2)
  await program.kill()
  await capture.stop()
  const [first] = levels(capture)
  t.ok(first!.level > 0 && first!.cpu > 0.01, `${first!.cpu} of a processor`)
})

t.test('the budget leaves the kernel no counting of time behind', { skip }, async t => {
  const capture = await startCapture({ budget: { maxCpuPercent: 50 } })
  await capture.stop()
  const enabled = readFileSync('/proc/sys/kernel/bpf_stats_enabled', 'utf8').trim()
  t.equal(enabled, '0')
})
