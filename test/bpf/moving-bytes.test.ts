import t, { type Test } from 'tap'
import type { CaptureEvent, SocketDataEvent } from '../../flow/events.ts'
import { createFlow } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import { compile, noCompiler, type Compiled } from '../helpers/c-program.ts'
import { noCapture, startCapture, textOf, type Capture, runProgram } from '../helpers/live-capture.ts'

t.setTimeout(240_000)
const skip = noCapture() || noCompiler()
const headBytes = 'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n'.length
const shortResponse = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Each of the ways of test/bpf/programs/exchange.c, and how its bytes come: texts of sends, and where they are none, lengths. */
const ways = {
  write: {},
  writev: {},
  send: {},
  sendmsg: {},
  sendmmsg: { halves: true },
  peek: {},
  sendfile: { pages: true },
  splice: { pages: true },
  uring: { ring: true },
  'uring-rw': { ring: true },
  'uring-msg': { ring: true },
  'uring-waiting': { ring: true },
} as const satisfies Record<string, { halves?: boolean; pages?: boolean; ring?: boolean }>

type Way = keyof typeof ways

interface Traits {
  readonly halves?: boolean
  readonly pages?: boolean
  readonly ring?: boolean
}

const traitsOf = (way: Way): Traits => ways[way]

/** Without those of its standard output, which is a Unix socket, too. */
const dataOf = (events: readonly CaptureEvent[], pid: number): SocketDataEvent[] => {
  const data = events.filter(event => event.type === 'socket_data').filter(event => event.pid === pid)
  const output = data.find(event => textOf(event).startsWith('done'))?.cookie
  return data.filter(event => event.cookie !== output)
}

/** SYS spans of what was captured, in the order of start. */
const spansOf = (events: readonly CaptureEvent[], pid: number): Span[] => {
  const flow = createFlow()
  const data = new Set<CaptureEvent>(dataOf(events, pid))
  const wanted = events.filter(event => event.type !== 'socket_data' || data.has(event))
  return [...flow.push(wanted), ...flow.flush()]
    .map(({ span }) => span)
    .toSorted((a, b) => (a.startTimeUnixNano < b.startTimeUnixNano ? -1 : 1))
}

const families = ['4', '6', 'mapped', 'unix', 'pair'] as const
type Family = (typeof families)[number]

const isInet = (family: Family): boolean => family !== 'unix' && family !== 'pair'

/** Runs the exchange and waits for its last event. */
async function exchange(
  capture: Capture,
  program: Compiled,
  family: Family,
  way: Way,
): Promise<[number, string]> {
  const running = runProgram(program.path, [family, way])
  const place = await running.line()
  await running.done()
  await capture.untilAny(event => event.type === 'process_exit' && event.pid === running.pid)
  return [running.pid, place]
}

function checkBytes(t: Test, events: readonly SocketDataEvent[], family: Family, way: Way): void {
  const { halves = false, pages = false } = traitsOf(way)
  const request = `GET /${family}/${way} HTTP/1.1\r\nHost: test\r\n\r\n`
  const moved = (direction: string, cookie: bigint): SocketDataEvent[] =>
    events.filter(event => event.direction === direction && event.cookie === cookie && event.length > 0)
  const [first] = events.filter(event => textOf(event).startsWith('GET'))
  const client = first!.cookie
  const server = events.find(event => event.cookie !== client)!.cookie
  const response = pages ? headBytes + 5000 : shortResponse.length
  const directions: readonly [SocketDataEvent[], SocketDataEvent[], number, string][] = [
    [moved('send', client), moved('receive', server), request.length, request],
    [moved('send', server), moved('receive', client), response, pages ? '' : shortResponse],
  ]
  for (const [sent, received, length, text] of directions) {
    const sum = (list: readonly SocketDataEvent[]): number =>
      list.reduce((all, event) => all + event.length, 0)
    t.same([sum(sent), sum(received)], [length, length], 'every byte is accounted for at both ends')
    const whole = (list: readonly SocketDataEvent[]): string => list.map(event => textOf(event)).join('')
    if (text !== '') t.same([whole(sent), whole(received)], [text, text], 'and its payload captured')
    if (halves) t.equal(sent.length, 2, 'each message is an event')
    if (isInet(family)) {
      t.equal(sent[0]!.seq, received[0]!.seq, 'under the same number')
      for (const list of [sent, received]) {
        let next = list[0]!.seq
        for (const event of list) {
          t.equal(event.seq, next)
          next = (next + event.length) >>> 0
        }
      }
    }
    t.ok(sent[0]!.timeNs <= received[0]!.timeNs, 'sent before it was received')
  }
}

function checkSpans(t: Test, spans: readonly Span[], family: Family, way: Way, place: string): void {
  const { pages = false } = traitsOf(way)
  t.same(
    spans.map(span => span.text(names.observationPoint)),
    ['c-p', 's-p'],
  )
  for (const span of spans) {
    t.equal(span.text('url.path'), `/${family}/${way}`)
    t.equal(span.attribute('http.response.status_code'), 200)
    t.equal(span.attribute(names.responseSize), pages ? headBytes + 5000 : shortResponse.length)
    t.equal(span.text(names.incomplete), family === 'pair' ? 'late_join' : '')
    if (family === 'unix') t.equal(span.text(names.serverAddress), place)
    if (isInet(family)) t.equal(span.attribute(names.serverPort), Number(place))
  }
  const [client, server] = spans
  t.equal(client!.attribute(names.keyRequestSeq), server!.attribute(names.keyRequestSeq))
  t.equal(client!.attribute(names.keyResponseSeq), server!.attribute(names.keyResponseSeq))
}

/** A splice from a Unix socket is not seen: the numbers of TCP are what shows it, and in the system call tier the call. */
const isSeen = (tier: string, family: Family, way: Way): boolean => {
  const { ring = false } = traitsOf(way)
  if (tier === 'syscall') return !ring
  return isInet(family) || way !== 'splice'
}

for (const tier of ['sock', 'syscall'] as const) {
  t.test(`tier ${tier}: every way to move bytes, on every family of sockets`, { skip }, async t => {
    const program = compile('exchange')
    t.teardown(program.remove)
    const capture = await startCapture({ sysTier: tier, hasNet: false, hasUnix: true })
    for (const family of families) {
      for (const way of Object.keys(ways) as Way[]) {
        if (!isSeen(tier, family, way)) continue
        await t.test(`${family} ${way}`, async t => {
          const [pid, place] = await exchange(capture, program, family, way)
          checkBytes(t, dataOf(capture.events, pid), family, way)
          checkSpans(t, spansOf(capture.events, pid), family, way, place)
        })
      }
    }
    await capture.stop()
    const host = capture.events.find(event => event.type === 'host')
    const said = { sock: /sock_send_length/, syscall: /^tp_btf\/sys_enter tp_btf\/sys_exit$/ }
    t.match(host, { sysTier: said[tier], netTier: 'off' }, 'the first record says how')
  })
}
