import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lastValueFrom, toArray } from 'rxjs'
import t from 'tap'
import type { CaptureEvent, SocketDataEvent } from '../../flow/events.ts'
import { replay } from '../../receivers/ebpf/recording.ts'
import {
  checkout,
  isReceived,
  makeNamespaces,
  noCapture,
  python,
  startCapture,
  textOf,
  type Capture,
  type Program,
} from '../helpers/live-capture.ts'

/** Each request is answered by `reply to` it. */
const serverCode = `
import socket, sys, threading
six = ':' in sys.argv[1]
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if six else socket.AF_INET, dualstack_ipv6=six)
print(s.getsockname()[1])
def serve(c):
    while (request := c.recv(65536)):
        c.sendall(b'reply to ' + request)
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`
/** Connects, then sends each line of its input and prints what comes back. */
const clientCode = `
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print('connected', c.getsockname()[1])
for line in sys.stdin:
    c.sendall(line.strip().encode())
    print(c.recv(65536).decode())
`
const startServer = async (
  address: string,
  netns?: string,
  port = 0,
): Promise<{ program: Program; port: number }> => {
  const program = python(serverCode, { ...(netns ? { netns } : {}), args: [address, String(port)] })
  return { program, port: Number(await program.line()) }
}
const startClient = async (address: string, port: number, netns?: string): Promise<Program> => {
  const program = python(clientCode, { ...(netns ? { netns } : {}), args: [address, String(port)] })
  await program.line()
  return program
}
const ask = async (client: Program, text: string): Promise<void> => {
  client.say(text)
  await client.line()
}
const dataOf = (capture: Capture, port: number): SocketDataEvent[] =>
  capture.events
    .filter(event => event.type === 'socket_data')
    .filter(event => event.local.port === port || event.remote.port === port)

t.setTimeout(240_000)
const skip = noCapture()
/** Ids of the BPF programs that a process holds. */
const programsOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/fdinfo`).flatMap(
    fd =>
      /^prog_id:\s+(\d+)$/m
        .exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))
        ?.slice(1)
        .map(Number) ?? [],
  )
const loadedPrograms = (): number[] =>
  [...execFileSync('bpftool', ['prog', 'list'], { encoding: 'utf8' }).matchAll(/^(\d+):/gm)].map(match =>
    Number(match[1]),
  )
/** A zombie that nobody has waited for yet runs no more. */
const isRunning = (pid: number): boolean => {
  try {
    return !/^State:\sZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
/** Those of our probe: other sessions on this machine may have their own. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
const probesOfThisProcess = (): number[] =>
  childrenOf(process.pid).filter(pid =>
    readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('fullspan-probe'),
  )

t.test('sees both ends of an exchange on loopback', { skip }, async t => {
  const capture = await startCapture()
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  await ask(client, 'loop question')
  await capture.untilAny(isReceived('reply to loop question'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.untilAny(event => event.type === 'process_exit' && event.pid === server.program.pid)
  await capture.stop()

  const asked = capture.sent('loop question')!
  const got = capture.received('loop question')!
  t.equal(asked.pid, client.pid)
  t.equal(got.pid, server.program.pid)
  t.same([asked.role, asked.isRoleInferred], ['client', false])
  t.same([got.role, got.isRoleInferred], ['server', false])
  t.same([asked.local, asked.remote], [got.remote, got.local])
  t.equal(asked.seq, got.seq, 'the sequence number joins both ends')
  t.not(asked.cookie, got.cookie)
  const sights = capture.packets('loop question')
  t.same(
    sights.map(packet => packet.direction),
    ['transmit', 'receive'],
    'lo transmits and receives',
  )
  for (const packet of sights) {
    t.equal(packet.seq, asked.seq)
    t.ok(asked.timeNs <= packet.timeNs, 'sent before it was at the interface')
    t.ok(packet.timeNs <= got.timeNs, 'received after it was at the interface')
  }
  t.same(
    dataOf(capture, server.port)
      .filter(event => event.cookie === asked.cookie)
      .map(event => event.ordinal),
    [0, 1],
  )

  t.equal(capture.events[0]!.type, 'host', 'the machine comes first')
  t.ok(capture.events.some(event => event.type === 'clock'))
  const process = capture.events.find(event => event.type === 'process' && event.pid === client.pid)
  t.match(process, {
    name: 'python3',
    executable: /\/python3/,
    commandLine: /^\/usr\/bin\/python3 -u -I -c /,
  })
  t.ok(capture.events.indexOf(process!) < capture.events.indexOf(asked), 'facts come before the first event')
  const closed = capture.events.find(event => event.type === 'socket_close' && event.cookie === asked.cookie)
  t.match(closed, { ordinal: 2 })
})

t.test('knows the service name that a process was given', { skip }, async t => {
  const names = [
    ['OTEL_SERVICE_NAME=orders', 'orders'],
    ['OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,service.name=stock,host.name=x', 'stock'],
  ] as const
  const capture = await startCapture()
  for (const [variable, name] of names) {
    const code = `import socket; s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname()); a.sendall(b'named'); input()`
    const program = python(code, { environment: [variable] })
    await capture.untilAny(event => event.type === 'process' && event.pid === program.pid)
    const process = capture.events.find(event => event.type === 'process' && event.pid === program.pid)
    t.match(process, { serviceName: name })
    await program.kill()
  }
  await capture.stop()
})

t.test('follows a request through namespaces and address translation', { skip }, async t => {
  const names = makeNamespaces(`fsp${process.pid % 1000}`)
  t.teardown(names.remove)
  const capture = await startCapture()
  const server = await startServer(names.addressB, names.b)
  names.translate(80, server.port)
  const client = await startClient(names.gatewayA, 80, names.a)
  await ask(client, 'far question')
  await capture.untilAny(isReceived('reply to far question'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()

  const asked = capture.sent('far question')!
  const got = capture.received('far question')!
  const sights = capture.packets('far question')
  t.same(
    sights.map(packet => packet.direction),
    ['transmit', 'receive', 'transmit', 'receive'],
  )
  t.same([...new Set([asked.seq, got.seq, ...sights.map(packet => packet.seq)])], [asked.seq], 'one number')
  const times = [asked.timeNs, ...sights.map(packet => packet.timeNs), got.timeNs]
  t.same(
    times,
    times.toSorted((x, y) => (x < y ? -1 : 1)),
    'in the order of the path',
  )
  t.same(sights[0]!.destination, { address: names.gatewayA, port: 80 })
  t.same(sights[3]!.destination, { address: names.addressB, port: server.port })
  t.equal(sights[3]!.source.address, names.gatewayB, 'masqueraded')
  t.same(got.local, { address: names.addressB, port: server.port })

  const interfaceOf = (index: number) => {
    const { netns, interfaceIndex } = sights[index]!
    return capture.events
      .filter(event => event.type === 'interface')
      .findLast(event => event.netns === netns && event.index === interfaceIndex)!
  }
  const [c, cNode, sNode, s] = [0, 1, 2, 3].map(interfaceOf)
  t.same([c!.name, c!.kind, c!.addresses[0]], ['eth0', 'veth', names.addressA])
  t.same([c!.peerNetns, c!.peerIndex], [cNode!.netns, cNode!.index], 'the peer of c is the node port')
  t.same([s!.peerNetns, s!.peerIndex], [sNode!.netns, sNode!.index])
  t.same([cNode!.peerNetns, cNode!.peerIndex], [c!.netns, c!.index])
  t.equal(asked.netns, c!.netns)
  t.ok(
    capture.events.indexOf(c!) < capture.events.indexOf(sights[0]!),
    'an interface is described before its first packet',
  )
})

t.test(
  'reports neither peeks nor calls that moved nothing, and the end of a stream once',
  { skip },
  async t => {
    const capture = await startCapture()
    const program = python(`
import socket
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
b.setblocking(False)
try: b.recv(10)
except BlockingIOError: pass
a.sendall(b'peek at me')
b.recv(100, socket.MSG_PEEK)
b.recv(100)
a.shutdown(socket.SHUT_WR)
b.setblocking(True)
b.recv(100); b.recv(100)
b.sendmsg([b'gather', b' these', b' parts'])
print(s.getsockname()[1], a.recv(100).decode())
`)
    const port = Number((await program.line()).split(' ')[0])
    await program.done()
    await capture.untilAny(isReceived('gather these parts'))
    await capture.stop()
    t.same(
      dataOf(capture, port)
        .sort((x, y) => (x.timeNs < y.timeNs ? -1 : 1))
        .map(event => [event.direction, textOf(event), event.length]),
      [
        ['send', 'peek at me', 10],
        ['receive', 'peek at me', 10],
        ['receive', '', 0],
        ['send', 'gather these parts', 18],
        ['receive', 'gather these parts', 18],
      ],
    )
  },
)

t.test(
  'gives the sequence number of the last bytes right when the end of the stream came with them',
  { skip },
  async t => {
    const capture = await startCapture()
    const program = python(`
import socket, time
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
a.sendall(b'last words'); a.close()
time.sleep(0.1)
print(b.recv(100).decode())
`)
    await program.line()
    await program.done()
    await capture.untilAny(isReceived('last words'))
    await capture.stop()
    t.equal(capture.received('last words')!.seq, capture.sent('last words')!.seq)
  },
)

t.test('cuts payloads at the limit, and says how much was moved', { skip }, async t => {
  const capture = await startCapture({ maxPayloadBytes: 100 })
  const program = python(`
import socket
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
a.sendall(b'long' * 1000)
b.recv(4000, socket.MSG_WAITALL)
a.sendmsg([b'parts'] * 60)
b.recv(300, socket.MSG_WAITALL)
`)
  await program.done()
  await capture.untilAny(isReceived('parts'))
  await capture.stop()
  const lengths = (event?: SocketDataEvent): unknown => [event?.length, event?.payload.length]
  t.same(lengths(capture.sent('long')), [4000, 100])
  t.same(lengths(capture.received('long')), [4000, 100])
  t.same(lengths(capture.sent('parts')), [300, 80], 'of a vector sixteen elements at most')
  t.ok(capture.packets('long').every(packet => packet.payload.length === 100))
})

t.test('sees a super-packet as one, and all bytes of a long send', { skip }, async t => {
  const capture = await startCapture()
  const program = python(`
import socket, threading
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
def take():
    left = 300000
    while left: left -= len(b.recv(left))
reader = threading.Thread(target=take); reader.start()
a.sendall(b'super' + bytes(299995)); reader.join()
print(a.getsockname()[1])
`)
  const port = Number(await program.line())
  await program.done()
  await capture.untilAny(event => event.type === 'process_exit' && event.pid === program.pid)
  await capture.stop()
  const sent = capture.sent('super')!
  t.equal(sent.length, 300_000)
  const received = dataOf(capture, port).filter(event => event.direction === 'receive')
  t.equal(
    received.reduce((sum, event) => sum + event.length, 0),
    300_000,
  )
  const packets = capture.events
    .filter(event => event.type === 'packet')
    .filter(event => event.source.port === port && event.direction === 'transmit')
  t.equal(
    packets.reduce((sum, packet) => sum + packet.length, 0),
    300_000,
  )
  t.ok(packets.some(packet => packet.length > 20_000))
  let next = sent.seq
  for (const packet of packets) {
    t.equal(packet.seq, next)
    next = (next + packet.length) >>> 0
  }
})

t.test('gives IPv6 addresses as such, and mapped ones as IPv4', { skip }, async t => {
  const capture = await startCapture()
  const server = await startServer('::')
  const six = await startClient('::1', server.port)
  const four = await startClient('127.0.0.1', server.port)
  await ask(six, 'by six')
  await ask(four, 'by four')
  await capture.untilAny(isReceived('reply to by four'))
  await Promise.all([six.kill(), four.kill(), server.program.kill()])
  await capture.stop()
  t.same(capture.received('by six')!.local, { address: '::1', port: server.port })
  t.same(capture.received('by four')!.local, { address: '127.0.0.1', port: server.port })
  t.same(capture.packets('by six')[0]!.destination, { address: '::1', port: server.port })
  t.equal(capture.packets('by six')[0]!.seq, capture.sent('by six')!.seq)
})

t.test('times sends by their packets where the kernel does not tell their start', { skip }, async t => {
  const capture = await startCapture({ sendStart: 'packet' })
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  await ask(client, 'first')
  await ask(client, 'second')
  await capture.untilAny(isReceived('reply to second'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()
  for (const text of ['first', 'reply to first', 'second', 'reply to second']) {
    const sent = capture.sent(text)!
    t.equal(sent.timeNs, capture.packets(text)[0]!.timeNs)
    t.equal(sent.seq, capture.received(text)!.seq)
  }
})

t.test('times sends by the entry of their system call', { skip }, async t => {
  const capture = await startCapture({ sendStart: 'enter' })
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  for (const text of ['early one', 'early two']) await ask(client, text)
  await capture.untilAny(isReceived('reply to early two'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()
  t.match(capture.events[0], { type: 'host', sysTier: 'tp_btf/sock_send_length tp_btf/sys_enter' })
  for (const text of ['early one', 'reply to early one', 'early two', 'reply to early two']) {
    const sent = capture.sent(text)!
    t.ok(sent.timeNs < capture.packets(text)[0]!.timeNs, 'before its first byte is transmitted')
    t.equal(sent.seq, capture.received(text)!.seq)
  }
})

t.test('refuses options that say nothing', { skip }, t => {
  const probe = `${checkout}/bpf/build/fullspan-probe`
  const run = (...args: string[]) => spawnSync(probe, ['--fd', '1', ...args], { encoding: 'utf8' })
  for (const args of [
    ['--sys-tier', 'best'],
    ['--send-start', 'soon'],
    ['--include-cidr', '10.0.0.0/33'],
    ['--exclude-cidr', 'fd00::/x'],
    ['--include-port', '70000'],
    ['--exclude-cgroup', 'relative'],
    ['--max-cpu-percent', '0'],
  ]) {
    const { status, stderr } = run(...args)
    t.equal(status, 2, args.join(' '))
    t.match(stderr, /^fullspan-probe: .* takes no ".*"; see --help\n$/)
  }
  const { status, stderr } = run('--include-cgroup', '/there/is/no/such/group')
  t.equal(status, 3)
  t.match(stderr, /^fullspan-probe: cannot capture: no cgroup hierarchy .* \/there\/is\/no\/such\/group\n$/)
  t.end()
})

t.test('reads through VLAN tags', { skip }, async t => {
  const names = makeNamespaces(`fsv${process.pid % 1000}`)
  t.teardown(names.remove)
  const capture = await startCapture()
  // Not every kernel has VLAN interfaces: the frame is made by hand.
  const program = python(
    `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
tcp = struct.pack('>HHIIBBHHH', 4000, 4001, 77, 0, 5 << 4, 24, 1000, 0, 0) + b'tagged'
ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, bytes([10, 9, 9, 1]), bytes([10, 9, 9, 2]))
s.send(bytes([255] * 6 + [2, 0, 0, 0, 0, 1]) + struct.pack('>HHH', 0x8100, 7, 0x0800) + ip + tcp)
`,
    { netns: names.a },
  )
  await program.done()
  await capture.untilAny(
    event => event.type === 'packet' && event.direction === 'receive' && event.seq === 77,
  )
  await capture.stop()
  const sights = capture.packets('tagged')
  t.same(
    sights.map(packet => packet.direction),
    ['transmit', 'receive'],
  )
  for (const packet of sights) {
    t.match(packet, {
      source: { address: '10.9.9.1', port: 4000 },
      destination: { address: '10.9.9.2' },
      length: 6,
    })
  }
})

t.test('infers the roles of a connection that is older than the probe', { skip }, async t => {
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  await ask(client, 'before')
  const capture = await startCapture()
  await ask(client, 'after')
  await capture.untilAny(isReceived('reply to after'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()
  t.notOk(capture.sent('before'))
  t.match(capture.sent('after'), { role: 'client', isRoleInferred: true })
  t.match(capture.received('after'), { role: 'server', isRoleInferred: true })
})

t.test('leaves out connections to its own ports, and tells who is at the other end', { skip }, async t => {
  const names = makeNamespaces(`fso${process.pid % 1000}`)
  t.teardown(names.remove)
  const server = await startServer('0.0.0.0', names.b)
  names.translate(80, server.port)
  const capture = await startCapture({ ownPorts: [server.port] })
  const near = await startClient(names.addressB, server.port)
  const far = await startClient(names.gatewayA, 80, names.a)
  await ask(near, 'own near')
  await ask(far, 'own far')
  await ask(far, 'own far')
  await capture.untilAny(event => event.type === 'own_connection' && event.pid === far.pid)
  await Promise.all([near.kill(), far.kill(), server.program.kill()])
  await capture.stop()

  const leaked = [...capture.packets('own'), ...capture.packets('reply to own')]
  t.same(leaked, [], 'no packets, before the translation or after')
  t.same(
    ['own near', 'own far', 'reply to own'].flatMap(text => [capture.sent(text), capture.received(text)]),
    [undefined, undefined, undefined, undefined, undefined, undefined],
  )
  const own = capture.events.filter(event => event.type === 'own_connection')
  t.match(
    own.filter(event => event.pid === far.pid),
    [{ remote: { address: names.gatewayA, port: 80 }, local: { address: names.addressA } }],
    'once, although nothing but the sequence numbers says so',
  )
  t.match(
    own.filter(event => event.pid === near.pid),
    [{ remote: { address: names.addressB, port: server.port } }],
  )
})

t.test('leaves out connections that its own processes open, at both ends', { skip }, async t => {
  const names = makeNamespaces(`fsq${process.pid % 1000}`)
  t.teardown(names.remove)
  const server = await startServer('0.0.0.0', names.b)
  const oldServer = await startServer('127.0.0.1')
  const exporter = python(
    `
import socket, sys
old = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
print('ready'); sys.stdin.readline()
c = socket.create_connection((sys.argv[1].split(':')[0], int(sys.argv[1].split(':')[1])))
for s in (c, old):
    s.sendall(b'exported'); s.recv(100); s.sendall(b'exported'); s.recv(100)
print('done'); sys.stdin.readline()
`,
    { args: [`${names.addressB}:${server.port}`, String(oldServer.port)] },
  )
  t.equal(await exporter.line(), 'ready')
  const capture = await startCapture({ ownPids: [exporter.pid] })
  exporter.say('go')
  t.equal(await exporter.line(), 'done')
  await capture.untilAny(event => event.type === 'own_connection' && event.pid === oldServer.program.pid)
  await Promise.all([exporter.kill(), server.program.kill(), oldServer.program.kill()])
  await capture.stop()
  t.same([...capture.packets('exported'), ...capture.packets('reply to exported')], [])
  t.same(
    [capture.sent('exported'), capture.received('exported'), capture.sent('reply to exported')],
    [undefined, undefined, undefined],
  )
  t.same(
    capture.events.flatMap(event => (event.type === 'own_connection' ? [event.pid] : [])).toSorted(),
    [server.program.pid, oldServer.program.pid].toSorted(),
  )
})

t.test(
  'sees datagrams of the chosen ports, with the sender of those on unconnected sockets',
  { skip },
  async t => {
    const answerer = python(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))
print(s.getsockname()[1]); print('ready')
for _ in range(2):
    text, peer = s.recvfrom(1000); s.sendto(b'answer to ' + text, peer)
`)
    const port = Number(await answerer.line())
    t.equal(await answerer.line(), 'ready')
    const capture = await startCapture({ udpPorts: [53, port] })
    const asker = python(
      `
import socket, sys
for connected in (True, False):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to = ('127.0.0.1', int(sys.argv[1]))
    if connected: s.connect(to); s.send(b'query one')
    else: s.sendto(b'query two', to)
    s.recv(1000)
`,
      { args: [String(port)] },
    )
    await Promise.all([asker.done(), answerer.done()])
    await capture.untilAny(isReceived('answer to query two'))
    await capture.stop()
    for (const text of ['query one', 'query two']) {
      const asked = capture.sent(text)!
      const got = capture.received(text)!
      t.match(asked, {
        transport: 'udp',
        role: 'client',
        pid: asker.pid,
        seq: 0,
        remote: { address: '127.0.0.1', port },
      })
      t.match(got, { transport: 'udp', role: 'server', pid: answerer.pid, local: { port } })
      t.same(got.remote, { address: '127.0.0.1', port: asked.local.port }, 'the sender is known')
      t.same(capture.sent(`answer to ${text}`)!.remote, got.remote)
      const [queued, arrived] = capture.packets(text)
      t.ok(
        asked.timeNs <= queued!.timeNs && queued!.timeNs <= arrived!.timeNs && arrived!.timeNs <= got.timeNs,
      )
    }
  },
)

t.test('leaves out the datagrams of its own processes, at both ends and on the way', { skip }, async t => {
  const names = makeNamespaces(`fsu${process.pid % 1000}`)
  t.teardown(names.remove)
  const answerer = python(
    `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 5353))
print('ready')
while True:
    text, peer = s.recvfrom(1000); s.sendto(b'answer to ' + text, peer)
`,
    { netns: names.b },
  )
  await answerer.line()
  const asker = python(
    `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    s.sendto(line.strip().encode(), (sys.argv[1], 5353)); s.recv(1000)
    print('answered')
`,
    { netns: names.a, args: [names.addressB] },
  )
  const foreign = python(
    `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'foreign query', (sys.argv[1], 5353)); s.recv(1000)
`,
    { args: [names.addressB] },
  )
  const capture = await startCapture({ udpPorts: [5353], ownPids: [asker.pid] })
  await ask(asker, 'own query')
  await ask(asker, 'own query')
  await foreign.done()
  const another = python(
    `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'last query', (sys.argv[1], 5353)); s.recv(1000)
`,
    { args: [names.addressB] },
  )
  await another.done()
  await capture.untilAny(isReceived('answer to last query'))
  await Promise.all([asker.kill(), answerer.kill()])
  await capture.stop()
  t.same([...capture.packets('own query'), ...capture.packets('answer to own query')], [])
  t.same(
    [capture.sent('own query'), capture.received('own query'), capture.sent('answer to own query')],
    [undefined, undefined, undefined],
  )
  t.match(
    capture.received('last query'),
    { pid: answerer.pid },
    'others that the same server answers are seen',
  )
})

t.test('accounts for every event: what is seen is delivered or counted as lost', { skip }, async t => {
  const capture = await startCapture({ ringBytes: 65_536 })
  const program = python(`
import socket
s = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
for _ in range(20000):
    a.send(b'x' * 900); b.recv(1000)
`)
  await program.done()
  await capture.stop()
  const losses = capture.events.filter(event => event.type === 'loss')
  const lost = losses
    .flatMap(event => Object.entries(event.reasons))
    .filter(([reason]) => reason !== 'payload_fault')
    .reduce((sum, [, count]) => sum + count, 0)
  const counted = new Set([
    'socket_data',
    'socket_close',
    'packet',
    'network',
    'own_connection',
    'process_exit',
  ])
  const delivered = capture.events.filter(event => counted.has(event.type)).length
  t.equal(losses.at(-1)!.seen, BigInt(delivered + lost))
  t.ok(lost > 0, 'the ring was made too small on purpose')
})

t.test('is back after its capturing process was killed, and marks the gap', { skip }, async t => {
  const capture = await startCapture()
  const [supervisor] = probesOfThisProcess()
  const [capturing] = childrenOf(supervisor!)
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  await ask(client, 'before the gap')
  await capture.untilAny(isReceived('reply to before the gap'))
  process.kill(capturing!, 'SIGKILL')
  const gap = await capture.until(event => event.type === 'gap')
  await ask(client, 'after the gap')
  await capture.untilAny(isReceived('reply to after the gap'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()

  t.ok(gap.fromNs > capture.sent('before the gap')!.timeNs && gap.fromNs < gap.toNs)
  t.ok(gap.toNs < capture.sent('after the gap')!.timeNs)
  t.ok(gap.toNs - gap.fromNs < 2_000_000_000n, 'within two seconds')
  t.equal(capture.messages.length, 1, 'said once')
  t.match(capture.messages[0], /killed by signal 9/)
  t.match(capture.sent('after the gap'), { role: 'client', isRoleInferred: true })
})

t.test('keeps few capabilities, and leaves nothing behind', { skip }, async t => {
  const capture = await startCapture()
  const [supervisor] = probesOfThisProcess()
  const pids = [supervisor!, ...childrenOf(supervisor!)]
  t.equal(pids.length, 2)
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    // BPF 39, PERFMON 38, SYS_ADMIN 21, SYS_PTRACE 19, DAC_READ_SEARCH 2
    t.match(status, /CapEff:\s000000c000280004/)
    t.match(status, /CapBnd:\s000000c000280004/)
    t.match(status, /NoNewPrivs:\s1/)
  }
  const programs = [...new Set(programsOf(pids[1]!))]
  t.ok(programs.length >= 8, 'all programs run')
  await capture.stop()
  t.same(probesOfThisProcess(), [])
  t.notOk(pids.some(pid => readdirSync('/proc').includes(String(pid))))
  // the kernel frees programs a moment after their last descriptor is closed
  while (programs.some(id => loadedPrograms().includes(id))) await new Promise(done => setTimeout(done, 20))
  t.pass('the programs are unloaded')
})

t.test('ends when its reader is killed', { skip }, async t => {
  const reader = python(
    `
import socket, subprocess, sys, time
ours, its = socket.socketpair()
p = subprocess.Popen([sys.argv[1], '--fd', str(its.fileno())], pass_fds=[its.fileno()])
its.close(); ours.recv(1)
print(p.pid); time.sleep(60)
`,
    { args: [`${checkout}/bpf/build/fullspan-probe`] },
  )
  const supervisor = Number(await reader.line())
  const pids = [supervisor, ...childrenOf(supervisor)]
  t.equal(pids.length, 2)
  await reader.kill()
  while (pids.some(pid => isRunning(pid))) await new Promise(done => setTimeout(done, 20))
  t.pass('both processes are gone')
})

t.test('ends on SIGTERM, and the capturing process with a killed supervisor', { skip }, async t => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const capture = await startCapture()
    const [supervisor] = probesOfThisProcess()
    const pids = [supervisor!, ...childrenOf(supervisor!)]
    process.kill(supervisor!, signal)
    await t.rejects(capture.ended, { code: 'EBPF_CAPTURE_ENDED' }, 'the reader learns of it')
    while (pids.some(pid => isRunning(pid))) await new Promise(done => setTimeout(done, 20))
  }
})

t.test('records what it says; the replay gives the same events', { skip }, async t => {
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'capture.rec')
  const capture = await startCapture({ recording: { path, maxBytes: 1 << 24 } })
  const server = await startServer('127.0.0.1')
  const client = await startClient('127.0.0.1', server.port)
  await ask(client, 'recorded')
  await capture.untilAny(isReceived('reply to recorded'))
  await Promise.all([client.kill(), server.program.kill()])
  await capture.stop()
  const replayed: CaptureEvent[][] = await lastValueFrom(replay(path, { pace: 'fast' }).pipe(toArray()), {
    defaultValue: [],
  })
  t.same(replayed.flat(), capture.events)
})

t.test('says in one line what is missing, and exits with 3', t => {
  const probe = `${checkout}/bpf/build/fullspan-probe`
  if (process.getuid?.() !== 0 || typeof skip === 'string') {
    t.pass('needs root to become somebody else')
    t.end()
    return
  }
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  execFileSync('sh', ['-c', `cp ${probe} ${directory}/probe; chmod 755 ${directory} ${directory}/probe`])
  const asNobody = { uid: 65_534, gid: 65_534, encoding: 'utf8' as const }
  const run = spawnSync(`${directory}/probe`, ['--fd', '1'], asNobody)
  t.equal(run.status, 3)
  t.match(run.stderr, /^fullspan-probe: cannot capture: needs root, or these capabilities: CAP_BPF .*\n$/)
  t.equal(spawnSync(`${directory}/probe`, ['--check'], asNobody).status, 3)
  t.equal(spawnSync(`${directory}/probe`, ['--max-payload', '7'], asNobody).status, 2)
  t.end()
})
