import t from 'tap'
import type { PacketEvent } from '../../flow/events.ts'
import { names } from '../../model/attribute-names.ts'
import {
  makeNamespaces,
  noCapture,
  python,
  startCapture,
  textOf,
  type Capture,
} from '../helpers/live-capture.ts'
import { connectWeb, shell, spansOf, startWeb, type SeenSpan } from '../helpers/live-network.ts'

const skip = noCapture()
t.setTimeout(180_000)

/** Each way of capturing packets, for what both must see. */
const tiers = ['tracepoint', 'packet_socket'] as const

const prefixOf = (letter: string): string => `fn${letter}${process.pid % 1000}`
const attributesOf = ({ span }: SeenSpan, ...wanted: string[]): unknown[] =>
  wanted.map(name => span.attribute(name))
const places = (spans: readonly SeenSpan[]): string[] =>
  spans.map(({ point, interface: name }) => `${point} ${name}`.trim())
const at = (spans: readonly SeenSpan[], point: string): SeenSpan => spans.find(each => each.point === point)!
const eventNames = ({ span }: SeenSpan): string[] => span.events.map(event => event.name)
const isAnswered = (capture: Capture, path: string): Promise<void> =>
  capture.untilAny(
    event =>
      event.type === 'socket_data' && event.direction === 'send' && textOf(event).startsWith(`GET ${path}`),
  )
/** Whatever is seen of an answer that the client has got is on its way. */
const settled = (): Promise<void> => new Promise(done => setTimeout(done, 200))

for (const tier of tiers) {
  t.test(
    `${tier}: VXLAN: the inner packets at the device, and inside the outer ones on their way`,
    { skip },
    async t => {
      const namespaces = makeNamespaces(prefixOf('x'))
      t.teardown(namespaces.remove)
      const { a, b, addressA, addressB } = namespaces
      for (const [netns, local, remote, inner] of [
        [a, addressA, addressB, '10.77.0.1'],
        [b, addressB, addressA, '10.77.0.2'],
      ] as const) {
        shell(`ip -n ${netns} link add vx0 type vxlan id 42 local ${local} remote ${remote} dstport 4789
             ip -n ${netns} addr add ${inner}/24 dev vx0; ip -n ${netns} link set vx0 up`)
      }
      const capture = await startCapture({ netTier: tier })
      const server = await startWeb(b)
      const client = await connectWeb(a, '10.77.0.2', server.port)
      await client.get('/inner')
      await isAnswered(capture, '/inner')
      await settled()
      await Promise.all([client.program.kill(), server.program.kill()])
      await capture.stop()

      const spans = spansOf(capture, '/inner')
      const router = prefixOf('x')
      t.same(places(spans), [
        'c-p',
        'c vx0',
        'c-nd eth0',
        `rest ${router}-a0`,
        `rest ${router}-b0`,
        's-nd eth0',
        's vx0',
        's-p',
      ])
      const { tunnelType, tunnelId, tunnelClientAddress, tunnelServerAddress } = names
      for (const each of spans) {
        const isOuter = !['c', 's', 'c-p', 's-p'].includes(each.point)
        t.same(
          attributesOf(each, tunnelType, tunnelId, tunnelClientAddress, tunnelServerAddress),
          isOuter ? ['vxlan', 42, addressA, addressB] : [undefined, undefined, undefined, undefined],
        )
        t.same(attributesOf(each, names.clientAddress, names.serverAddress), ['10.77.0.1', '10.77.0.2'])
      }
      t.equal(new Set(spans.map(({ span }) => span.traceId)).size, 1, 'one trace')
      t.same(attributesOf(at(spans, 'c'), names.interfacePlace), ['tunnel'])
    },
  )

  t.test(`${tier}: Geneve, GRE, IPIP and ERSPAN: the packets inside frames of them`, { skip }, async t => {
    const namespaces = makeNamespaces(prefixOf('g'))
    t.teardown(namespaces.remove)
    const capture = await startCapture({ netTier: tier })
    // no kernel here has such devices: the frames are made by hand
    const program = python(
      `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
def ip(protocol, inside, ends):
    return struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(inside), 1, 0, 64, protocol, 0, *[bytes(map(int, e.split('.'))) for e in ends]) + inside
def ip6(protocol, inside):
    return struct.pack('>IHBB', 6 << 28, len(inside), protocol, 64) + bytes([0xfd] + [0] * 14 + [1]) + bytes([0xfd] + [0] * 14 + [2]) + inside
def udp(port, inside): return struct.pack('>HHHH', 50000, port, 8 + len(inside), 0) + inside
def frame(protocol, inside): return bytes([255] * 6 + [2, 0, 0, 0, 0, 1]) + struct.pack('>H', protocol) + inside
def inner(text): return ip(6, struct.pack('>HHIIBBHHH', 4000, 4001, 77, 0, 5 << 4, 24, 1000, 0, 0) + text, ('10.9.9.1', '10.9.9.2'))
outer = ('192.0.2.1', '192.0.2.2')
geneve = lambda text: struct.pack('>BBHI', 2, 0, 0x6558, 7 << 8) + bytes(8) + frame(0x0800, inner(text))
for protocol, inside in (
    (17, udp(6081, geneve(b'geneve'))),
    (17, udp(4789, struct.pack('>II', 8 << 24, 9 << 8) + frame(0x8100, struct.pack('>HH', 5, 0x0800) + inner(b'vxlan with vlan')))),
    (47, struct.pack('>HHI', 0x2000, 0x0800, 99) + inner(b'gre key')),
    (47, struct.pack('>HH', 0, 0x6558) + frame(0x0800, inner(b'gre frame'))),
    (47, struct.pack('>HHIII', 0x1000, 0x88be, 1, 0x1000000b, 0) + frame(0x0800, inner(b'erspan'))),
    (4, inner(b'ipip')),
): s.send(frame(0x0800, ip(protocol, inside, outer)))
s.send(frame(0x86dd, ip6(4, inner(b'4in6'))))
s.send(frame(0x0800, ip(17, udp(4789, b'\\0' * 8 + frame(0x0800, inner(b'no vxlan'))), outer)))
s.send(frame(0x0800, ip(4, inner(b'end of them'), outer)))
`,
      { netns: namespaces.a },
    )
    await program.done()
    const packets = (text: string): PacketEvent[] => capture.packets(text)
    await capture.untilAny(() => packets('end of them').length === 2)
    await capture.stop()
    const [four, six] = [
      { source: '192.0.2.1', destination: '192.0.2.2' },
      { source: 'fd00::1', destination: 'fd00::2' },
    ]
    for (const [text, tunnel] of [
      ['geneve', { type: 'geneve', id: 7, ...four }],
      ['vxlan with vlan', { type: 'vxlan', id: 9, ...four }],
      ['gre key', { type: 'gre', id: 99, ...four }],
      ['gre frame', { type: 'gre', id: undefined, ...four }],
      ['erspan', { type: 'erspan', id: 11, ...four }],
      ['ipip', { type: 'ipip', id: undefined, ...four }],
      ['4in6', { type: 'ipip', id: undefined, ...six }],
    ] as const) {
      const seen = packets(text)
      t.same(
        seen.map(packet => packet.direction),
        ['transmit', 'receive'],
        `${text} on both ends of the link`,
      )
      for (const packet of seen) {
        t.match(packet, {
          source: { address: '10.9.9.1', port: 4000 },
          destination: { address: '10.9.9.2', port: 4001 },
          seq: 77,
          length: text.length,
        })
        t.same(packet.tunnel, tunnel)
      }
    }
    t.same(packets('no vxlan'), [], 'its flag is missing')
  })

  t.test(`${tier}: segments out of order, twice, and of one message`, { skip }, async t => {
    const namespaces = makeNamespaces(prefixOf('o'))
    t.teardown(namespaces.remove)
    const capture = await startCapture({ netTier: tier })
    const program = python(
      `
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
def send(out, seq, text):
    ends = [bytes([10, 9, 9, 1]), bytes([10, 9, 9, 2])]; ports = [4000, 80]
    if not out: ends.reverse(); ports.reverse()
    tcp = struct.pack('>HHIIBBHHH', *ports, seq, 1, 5 << 4, 24, 1000, 0, 0) + text
    ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, *ends)
    s.send(bytes([255] * 6 + [2, 0, 0, 0, 0, 1]) + b'\\x08\\0' + ip + tcp)
    time.sleep(0.01)
request = b'GET /pieces HTTP/1.1\\r\\nHost: test\\r\\nX-Filler: ' + b'y' * 100 + b'\\r\\n\\r\\n'
send(True, 1000, request[:30])
send(True, 1000, request[:30])
send(True, 1060, request[60:])
send(True, 1030, request[30:60])
answer = b'HTTP/1.1 200 OK\\r\\nContent-Length: 2000\\r\\n\\r\\n' + b'z' * 2000
send(False, 5000, answer[:1000]); send(False, 6000, answer[1000:1500]); send(False, 6500, answer[1500:])
`,
      { netns: namespaces.a },
    )
    await program.done()
    await settled()
    await capture.stop()
    const spans = spansOf(capture, '/pieces')
    t.equal(spans.length, 2, 'at both ends of the link')
    for (const { span } of spans) {
      t.same(
        [names.keyRequestSeq, names.keyResponseSeq, names.retransmissions].map(name => span.attribute(name)),
        [1000, 5000, 1],
      )
      t.ok((span.number(names.requestSize) ?? 0) > 140)
      t.ok((span.number(names.responseSize) ?? 0) > 2000)
      const durationMs = Number(span.endTimeUnixNano - span.startTimeUnixNano) / 1e6
      t.ok(durationMs > 55, 'from the first byte to the last')
      // nobody receives frames made by hand: the kernel drops them, and says so
      const times = span.events.filter(event => event.name !== 'fullspan.network.drop')
      t.same(
        times.map(event => event.name),
        ['fullspan.request.last_byte', 'fullspan.response.first_byte'],
      )
      const [last, first] = times.map(event => Number(event.timeUnixNano - span.startTimeUnixNano) / 1e6)
      t.ok(last! > 25 && last! < first! && first! < durationMs)
      t.equal(span.text(names.incomplete), '')
    }
  })

  t.test(`${tier}: packets of MTU's size and super-packets`, { skip }, async t => {
    const namespaces = makeNamespaces(prefixOf('m'))
    t.teardown(namespaces.remove)
    const bodyBytes = 100_000
    const server = await startWeb(namespaces.b, { bodyBytes })
    const sizes = async (path: string): Promise<number[]> => {
      const capture = await startCapture({ netTier: tier })
      const client = await connectWeb(namespaces.a, namespaces.addressB, server.port)
      await client.get(path, { bodyBytes })
      await settled()
      await client.program.kill()
      await capture.stop()
      const spans = spansOf(capture, path)
      t.same(places(spans).slice(0, 2), ['c-p', 'c eth0'])
      t.equal(spans.length, 6, 'at every interface')
      for (const { span } of spans) t.ok((span.number(names.responseSize) ?? 0) > bodyBytes)
      return capture.events
        .filter(event => event.type === 'packet')
        .filter(event => event.source.port === server.port && event.direction === 'transmit')
        .map(event => event.length)
    }
    t.ok(Math.max(...(await sizes('/super'))) > 10_000, 'one event for what the card would segment')
    for (const netns of [namespaces.a, namespaces.b]) {
      shell(`ip -n ${netns} link set eth0 gso_max_segs 1`)
    }
    const small = await sizes('/small')
    t.ok(Math.max(...small) <= 1460)
    t.ok(small.length > 100)
    await server.program.kill()
  })

  t.test(`${tier}: what was dropped, where and why, and what was sent again`, { skip }, async t => {
    const namespaces = makeNamespaces(prefixOf('d'))
    const router = prefixOf('d')
    const rule = `FORWARD -i ${router}-+ -p tcp --tcp-flags PSH PSH -m statistic --mode nth --every 2 --packet 0 -j DROP`
    t.teardown(namespaces.remove)
    const server = await startWeb(namespaces.b)
    const capture = await startCapture({ netTier: tier })
    const client = await connectWeb(namespaces.a, namespaces.addressB, server.port)
    shell(`iptables -w -I ${rule}`)
    try {
      t.equal(await client.get('/lossy'), 'got 40')
    } finally {
      shell(`iptables -w -D ${rule}`)
    }
    t.equal(await client.get('/sound'), 'got 40')
    await settled()
    await Promise.all([client.program.kill(), server.program.kill()])
    await capture.stop()

    const spans = spansOf(capture, '/lossy')
    t.same(places(spans), ['c-p', 'c eth0', `c-nd ${router}-a0`, `s-nd ${router}-b0`, 's eth0', 's-p'])
    const asked = at(spans, 'c-p')
    t.same(attributesOf(asked, names.retransmissions, names.drops), [2, 2], 'the request and the response')
    t.match(attributesOf(asked, names.connectDuration, names.rtt), [Number, Number])
    t.same(eventNames(asked), [
      'fullspan.network.connect',
      'fullspan.network.drop',
      'fullspan.network.retransmission',
      'fullspan.network.drop',
      'fullspan.network.retransmission',
    ])
    const [, drop, again] = asked.span.events
    t.match(drop!.attributes, {
      [names.dropReason]: 'NETFILTER_DROP',
      [names.dropFunction]: /^nft?_/,
      [names.netns]: at(spans, 'c-nd').netns,
      [names.tcpSeq]: asked.span.number(names.keyRequestSeq)!,
      [names.tcpLength]: asked.span.number(names.requestSize)!,
    })
    t.match(again!.attributes, { [names.tcpSeq]: asked.span.number(names.keyRequestSeq)! })
    if (tier === 'tracepoint') {
      t.same(
        attributesOf(at(spans, 'c'), names.retransmissions, names.drops),
        [1, 2],
        'at the interface the request was seen again, the response only once',
      )
    }
    t.same(
      attributesOf(at(spans, 's-p'), names.retransmissions),
      [undefined],
      'what comes after its end is not its',
    )
    const sound = at(spansOf(capture, '/sound'), 'c-p')
    t.same(eventNames(sound), [])
    t.same(attributesOf(sound, names.retransmissions, names.drops, names.connectDuration), [
      undefined,
      undefined,
      undefined,
    ])
  })
}

t.test('resets, by a server and by a rule', { skip }, async t => {
  const namespaces = makeNamespaces(prefixOf('r'))
  t.teardown(namespaces.remove)
  const resetting = await startWeb(namespaces.b, { does: 'reset' })
  const answering = await startWeb(namespaces.b)
  const capture = await startCapture()
  const [one, other] = [
    await connectWeb(namespaces.a, namespaces.addressB, resetting.port),
    await connectWeb(namespaces.a, namespaces.addressB, answering.port),
  ]
  t.match(await one.get('/reset'), /reset by peer/)
  shell(
    `ip netns exec ${namespaces.b} iptables -w -I INPUT -p tcp --dport ${answering.port} --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset`,
  )
  t.match(await other.get('/rejected'), /reset by peer/)
  await settled()
  await Promise.all([one, other, resetting, answering].map(each => each.program.kill()))
  await capture.stop()

  const reset = spansOf(capture, '/reset')
  t.match(eventNames(at(reset, 'c-p')), ['fullspan.network.connect', 'fullspan.network.reset.received'])
  t.match(eventNames(at(reset, 's-p')), ['fullspan.network.reset.sent'])
  t.same(attributesOf(at(reset, 'c-p'), names.resets, names.incomplete), [1, 'no_response'])

  const rejected = at(spansOf(capture, '/rejected'), 'c-p')
  t.same(attributesOf(rejected, names.resets, names.drops), [1, 1])
  t.match(rejected.span.events.find(event => event.name === 'fullspan.network.drop')!.attributes, {
    [names.dropReason]: 'NETFILTER_DROP',
    [names.interfaceName]: 'eth0',
  })
})

t.test('a reader that lets its buffer fill up', { skip }, async t => {
  const namespaces = makeNamespaces(prefixOf('z'))
  t.teardown(namespaces.remove)
  const bodyBytes = 400_000
  const server = await startWeb(namespaces.b, { bodyBytes })
  const capture = await startCapture()
  const client = await connectWeb(namespaces.a, namespaces.addressB, server.port, 4096)
  await client.get('/slow', { pauseS: 0.6, bodyBytes })
  await settled()
  await Promise.all([client.program.kill(), server.program.kill()])
  await capture.stop()
  const spans = spansOf(capture, '/slow')
  for (const point of ['c-p', 'c', 's']) {
    t.ok((at(spans, point).span.number(names.zeroWindows) ?? 0) > 0, point)
    t.ok(eventNames(at(spans, point)).includes('fullspan.network.zero_window'), point)
  }
})

t.test("a sidecar's detour is seen, and where the client meant to go", { skip }, async t => {
  const namespaces = makeNamespaces(prefixOf('s'))
  t.teardown(namespaces.remove)
  const { a, b, addressA, addressB } = namespaces
  const server = await startWeb(b)
  // the proxy: hands bytes on, under a user of its own that the rule leaves alone
  const proxy = python(
    `
import os, socket, sys, threading
s = socket.create_server(('0.0.0.0', 15001)); os.setuid(1337); print('ready')
def pipe(x, y):
    while (data := x.recv(65536)): y.sendall(data)
    y.shutdown(socket.SHUT_WR)
while True:
    c, _ = s.accept()
    u = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    threading.Thread(target=pipe, args=(c, u), daemon=True).start(); threading.Thread(target=pipe, args=(u, c), daemon=True).start()
`,
    { netns: a, args: [addressB, String(server.port)] },
  )
  await proxy.line()
  shell(
    `ip netns exec ${a} iptables -w -t nat -I OUTPUT -p tcp --dport ${server.port} -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001`,
  )
  const capture = await startCapture()
  const client = await connectWeb(a, addressB, server.port)
  await client.get('/meshed')
  await settled()
  await Promise.all([client.program.kill(), proxy.kill(), server.program.kill()])
  await capture.stop()

  const spans = spansOf(capture, '/meshed')
  t.same(places(spans), [
    'c-p',
    'local lo',
    's-p',
    'c-p',
    'c eth0',
    `c-nd ${prefixOf('s')}-a0`,
    `s-nd ${prefixOf('s')}-b0`,
    's eth0',
    's-p',
  ])
  const detour = at(spans, 'local')
  t.same(attributesOf(detour, names.originalDestination, names.clientAddress, names.serverPort), [
    `${addressB}:${server.port}`,
    addressA,
    15_001,
  ])
  t.same(
    spans.filter(each => each !== detour).flatMap(each => attributesOf(each, names.originalDestination)),
    Array<undefined>(8).fill(undefined),
  )
})

t.test(
  'interfaces are named by what they are part of, and points by whose namespace it is',
  { skip },
  async t => {
    const namespaces = makeNamespaces(prefixOf('b'))
    const router = prefixOf('b')
    t.teardown(namespaces.remove)
    const { a, b } = namespaces
    // both sides on one bridge instead of a router between
    shell(`ip link add ${router}br type bridge; ip link set ${router}br up
         ip link set ${router}-a0 master ${router}br; ip link set ${router}-b0 master ${router}br
         ip -n ${a} addr add 10.78.0.1/24 dev eth0; ip -n ${b} addr add 10.78.0.2/24 dev eth0`)
    t.teardown(() => shell(`ip link del ${router}br || true`))
    const server = await startWeb(b)
    const capture = await startCapture()
    const client = await connectWeb(a, '10.78.0.2', server.port)
    await client.get('/bridged')
    await settled()
    await Promise.all([client.program.kill(), server.program.kill()])
    await capture.stop()

    const spans = spansOf(capture, '/bridged')
    t.same(places(spans), ['c-p', 'c eth0', `c-nd ${router}-a0`, `s-nd ${router}-b0`, 's eth0', 's-p'])
    const [aNetns, bNetns] = [at(spans, 'c').netns, at(spans, 's').netns]
    const { interfacePlace, interfaceMaster, interfacePeer, capturePoint } = names
    t.same(attributesOf(at(spans, 'c'), interfacePlace, interfaceMaster, interfacePeer, capturePoint), [
      'veth',
      undefined,
      `${router}-a0 in ${at(spans, 'c-nd').netns}`,
      'python3',
    ])
    t.same(attributesOf(at(spans, 'c-nd'), interfacePlace, interfaceMaster, interfacePeer, capturePoint), [
      'bridge port',
      `${router}br`,
      `eth0 in ${aNetns}`,
      undefined,
    ])
    t.same(attributesOf(at(spans, 's-nd'), interfacePeer), [`eth0 in ${bNetns}`])
  },
)

t.test(
  'packet_socket: leaves out its own, accounts for every packet, and ends with a namespace',
  { skip },
  async t => {
    const namespaces = makeNamespaces(prefixOf('p'))
    t.teardown(namespaces.remove)
    const { a, b, addressB, gatewayA } = namespaces
    const server = await startWeb(b)
    const own = await startWeb(b, { bodyBytes: 3 })
    namespaces.translate(80, own.port)
    const capture = await startCapture({ netTier: 'packet_socket', ownPorts: [own.port], hasUnix: false })
    const client = await connectWeb(a, addressB, server.port)
    const owner = await connectWeb(a, gatewayA, 80)
    const path = `/own`
    for (let round = 0; round < 3; round++) {
      await owner.get(path, { bodyBytes: 3 })
      await client.get('/foreign')
    }
    shell(`ip netns add ${prefixOf('p')}-c`)
    await new Promise(done => setTimeout(done, 1500))
    const inode = Number(shell(`stat -Lc %i /run/netns/${prefixOf('p')}-c`))
    const inUse = (): boolean =>
      capture.events.some(event => event.type === 'interface_gone' && event.netns === inode)
    shell(`ip netns del ${prefixOf('p')}-c`)
    await capture.untilAny(inUse)
    t.pass('a socket in it does not keep a namespace')
    await Promise.all([client, owner, server, own].map(each => each.program.kill()))
    await settled()
    await capture.stop()

    t.match(capture.events[0], { type: 'host', netTier: 'packet socket' })
    const foreign = capture.packets('GET /foreign')
    t.equal(foreign.length, 3 * 4, 'at each of four interfaces')
    for (const packet of foreign) t.ok(packet.length === packet.payload.length && packet.length > 30)
    const inOrder = foreign.map(packet => packet.timeNs)
    t.same(
      inOrder,
      inOrder.toSorted((one, other) => (one < other ? -1 : 1)),
    )
    t.same(capture.packets('GET /own'), [], 'not behind the translation either')

    const losses = capture.events.filter(event => event.type === 'loss')
    const lost = losses
      .flatMap(event => Object.entries(event.reasons))
      .filter(([reason]) => reason !== 'payload_fault')
      .reduce((sum, [, count]) => sum + count, 0)
    const facts = new Set(['host', 'clock', 'tick', 'process', 'interface', 'interface_gone', 'loss'])
    const delivered = capture.events.filter(event => !facts.has(event.type)).length
    t.equal(losses.at(-1)!.seen, BigInt(delivered + lost))
  },
)
