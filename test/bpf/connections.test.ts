import t from 'tap'
import type { SocketDataEvent } from '../../flow/events.ts'
import { createFlow } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import { compile, noCompiler } from '../helpers/c-program.ts'
import { noCapture, python, startCapture, textOf, type Capture, runProgram } from '../helpers/live-capture.ts'

t.setTimeout(240_000)
const skip = noCapture()
const tiers = ['sock', 'syscall'] as const

/** A listening socket `s`, a client `a` and its other end `b`; the port is printed first. */
const connected = `
import array, ctypes, os, socket, sys, time
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1])
a = socket.create_connection(s.getsockname())
b, _ = s.accept()
def get(path): return b'GET %s HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n' % path
ok = b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'
`

interface Seen {
  readonly events: readonly SocketDataEvent[]
  readonly spans: readonly Span[]
  readonly pid: number
}

/** Runs Python code that begins with `connected`; gives what was captured of its connection. */
async function run(capture: Capture, code: string): Promise<Seen> {
  const program = python(connected + code)
  const port = Number(await program.line())
  await program.done()
  await capture.untilAny(event => event.type === 'process_exit' && event.pid === program.pid)
  const isOf = (event: SocketDataEvent): boolean => event.local.port === port || event.remote.port === port
  const events = capture.events.filter(event => event.type === 'socket_data').filter(isOf)
  const cookies = new Set(events.map(event => event.cookie))
  const flow = createFlow()
  const spans = [
    ...flow.push(
      capture.events.filter(event => {
        if (event.type === 'socket_data') return isOf(event)
        return event.type === 'socket_close' ? cookies.has(event.cookie) : event.type !== 'packet'
      }),
    ),
    ...flow.flush(),
  ].map(({ span }) => span)
  return { events, spans, pid: program.pid }
}

const paths = (spans: readonly Span[], point: string): string[] =>
  spans.filter(span => span.text(names.observationPoint) === point).map(span => span.text('url.path'))

const cookiesOf = (events: readonly SocketDataEvent[], text: string): bigint[] => [
  ...new Set(events.filter(event => textOf(event).includes(text)).map(event => event.cookie)),
]

for (const tier of tiers) {
  t.test(`tier ${tier}: connections, however their descriptors are handed about`, { skip }, async t => {
    const capture = await startCapture({ sysTier: tier, hasNet: false })

    await t.test('duplicates of a descriptor are one connection', async t => {
      const { events, spans } = await run(
        capture,
        `
a2 = os.dup(a.fileno())
os.write(a2, get(b'/dup')); a.close()
b.recv(1000); b.sendall(ok); os.read(a2, 1000)
`,
      )
      t.equal(cookiesOf(events, 'GET /dup').length, 2, 'one socket at each end')
      t.same(paths(spans, 'c-p'), ['/dup'])
      t.ok(spans.every(span => span.text(names.incomplete) === ''))
    })

    await t.test('a child goes on with the connection of its parent', async t => {
      const { events, spans, pid } = await run(
        capture,
        `
a.sendall(get(b'/first')); b.recv(1000); b.sendall(ok); a.recv(1000)
child = os.fork()
if child == 0:
    a.sendall(get(b'/second')); os._exit(0)
os.waitpid(child, 0)
b.recv(1000); b.sendall(ok); a.recv(1000)
`,
      )
      const sent = (text: string) =>
        events.find(event => event.direction === 'send' && textOf(event).includes(text))!
      t.equal(sent('/second').cookie, sent('/first').cookie)
      t.equal(sent('/first').pid, pid)
      t.not(sent('/second').pid, pid, 'each event says whose it was')
      t.same(paths(spans, 's-p'), ['/first', '/second'])
    })

    await t.test(
      'a descriptor that was passed to another process stands for the same connection',
      async t => {
        const { events, spans, pid } = await run(
          capture,
          `
here, there = socket.socketpair()
child = os.fork()
if child == 0:
    s.close(); a.close(); b.close()
    _, fds, _, _ = socket.recv_fds(there, 10, 1)
    c = socket.socket(fileno=fds[0])
    c.recv(1000); c.sendall(ok); os._exit(0)
socket.send_fds(here, [b'x'], [b.fileno()]); b.close()
a.sendall(get(b'/passed')); a.recv(1000); os.waitpid(child, 0)
`,
        )
        const served = events.find(
          event => event.direction === 'receive' && textOf(event).includes('/passed'),
        )!
        t.not(served.pid, pid)
        t.same([served.role, served.isRoleInferred], ['server', false])
        t.same(paths(spans, 's-p'), ['/passed'])
      },
    )

    await t.test('a number that is used again is another connection', async t => {
      const { events, spans } = await run(
        capture,
        `
number = a.fileno()
a.sendall(get(b'/one')); b.recv(1000); b.sendall(ok); a.recv(1000)
a.close(); b.close()
a = socket.create_connection(s.getsockname()); assert a.fileno() == number
b, _ = s.accept()
a.sendall(get(b'/two')); b.recv(1000); b.sendall(ok); a.recv(1000)
`,
      )
      t.not(cookiesOf(events, '/one')[0], cookiesOf(events, '/two')[0])
      t.ok(events.filter(event => textOf(event).includes('/two')).every(event => event.ordinal === 0))
      t.same(paths(spans, 'c-p'), ['/one', '/two'])
    })

    await t.test('close_range ends connections as close does', async t => {
      const { events } = await run(
        capture,
        `
a.sendall(get(b'/range')); b.recv(1000); b.sendall(ok); a.recv(1000)
assert ctypes.CDLL(None).syscall(436, b.fileno(), b.fileno(), 0) == 0
b.detach(); a.recv(1000); a.close(); time.sleep(0.05)
`,
      )
      const cookies = cookiesOf(events, '/range')
      await capture.untilAny(event => event.type === 'socket_close' && event.cookie === cookies[0])
      const closed = capture.events.filter(event => event.type === 'socket_close')
      t.ok(cookies.every(cookie => closed.some(event => event.cookie === cookie)))
    })

    await t.test('a half that is shut down ends; the other half goes on', async t => {
      const { events, spans } = await run(
        capture,
        `
a.sendall(get(b'/half')); a.shutdown(socket.SHUT_WR)
b.recv(1000); assert b.recv(1000) == b''; assert b.recv(1000) == b''
b.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nuntil the end'); b.close()
while a.recv(1000): pass
`,
      )
      const ends = events.filter(event => event.length === 0)
      t.equal(ends.length, 2, 'the end of each half is told once')
      t.ok(ends.every(event => event.direction === 'receive'))
      t.same(paths(spans, 'c-p'), ['/half'])
      const sizes = spans.map(span => span.attribute(names.responseSize))
      t.same(sizes, [32, 32], 'the end of the stream ends the response')
      t.ok(spans.every(span => span.text(names.incomplete) === ''))
    })

    await t.test('calls that fail or only look are no events, and cost no byte of what follows', async t => {
      const { events, spans } = await run(
        capture,
        `
b.setblocking(False)
for _ in range(3):
    try: b.recv(10)
    except BlockingIOError: pass
a.sendall(get(b'/later'))
b.setblocking(True); b.recv(5, socket.MSG_PEEK); b.recv(5, socket.MSG_PEEK)
while b.recv(7) and b.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
    b.setblocking(False)
    try: b.recv(1, socket.MSG_PEEK)
    except BlockingIOError: break
b.setblocking(True); b.sendall(ok); a.recv(1000)
a.setblocking(False); a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
try:
    while True: a.send(bytes(100000))
except BlockingIOError: pass
`,
      )
      const received = events.filter(event => event.direction === 'receive' && event.role === 'server')
      t.equal(received.map(event => textOf(event)).join(''), 'GET /later HTTP/1.1\r\nHost: test\r\n\r\n')
      t.ok(events.every(event => event.length > 0))
      const last = events.filter(event => event.role === 'client').at(-1)!
      t.equal(last.ordinal, events.filter(event => event.cookie === last.cookie).length - 1, 'no hole')
      t.same(paths(spans, 's-p'), ['/later'])
    })

    await capture.stop()
  })

  t.test(
    `tier ${tier}: connections older than the probe have inferred roles, and say so`,
    { skip },
    async t => {
      const path = `/tmp/fullspan-old-${process.pid}`
      const program = python(`
import os, socket, sys
s = socket.create_server(('127.0.0.1', 0)); u = socket.socket(socket.AF_UNIX); u.bind('${path}'); u.listen()
ends = []
for listener, family in ((s, socket.AF_INET), (u, socket.AF_UNIX)):
    a = socket.socket(family); a.connect(listener.getsockname()); ends.append((a, listener.accept()[0]))
os.unlink('${path}')
print(s.getsockname()[1]); sys.stdin.readline()
for a, b in ends:
    a.sendall(b'GET /old HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n'); b.recv(1000)
    b.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'); a.recv(1000)
`)
      await program.line()
      const capture = await startCapture({ sysTier: tier, hasNet: false, hasUnix: true })
      program.say('go')
      await program.done()
      await capture.untilAny(event => event.type === 'process_exit' && event.pid === program.pid)
      await capture.stop()
      const asked = capture.events
        .filter(event => event.type === 'socket_data')
        .filter(event => textOf(event).startsWith('GET /old'))
      t.same(
        asked.map(event => [event.transport, event.direction, event.role, event.isRoleInferred]),
        [
          ['tcp', 'send', 'client', true],
          ['tcp', 'receive', 'server', true],
          ['unix', 'send', 'client', false], // which end has the path does not change
          ['unix', 'receive', 'server', false],
        ],
      )
      t.same([asked[2]!.remote.address, asked[3]!.local.address], [path, path])
    },
  )
}

for (const tier of tiers) {
  t.test(
    `tier ${tier}: each datagram of sendmmsg and recvmmsg is an event of its own`,
    { skip: skip || noCompiler() },
    async t => {
      const compiled = compile('datagrams')
      t.teardown(compiled.remove)
      const capture = await startCapture({ sysTier: tier, hasNet: tier === 'sock', udpPorts: [35_353] })
      const program = runProgram(compiled.path, ['35353'])
      await program.done()
      await capture.untilAny(event => event.type === 'process_exit' && event.pid === program.pid)
      await capture.stop()
      const data = capture.events
        .filter(event => event.type === 'socket_data')
        .filter(event => event.pid === program.pid && event.transport === 'udp')
      const texts = (direction: string): string[] =>
        data.filter(event => event.direction === direction).map(event => textOf(event))
      const all = ['one', 'number two', 'three', 'four is longer', 'fi', 'last of all']
      t.same(texts('send'), all)
      t.same(
        texts('receive'),
        all,
        'the right one of the vector, in calls that fill it and in calls that do not',
      )
    },
  )
}
