import t from 'tap'
import { createPrinter } from '../../exporters/debug/index.ts'
import { formatDuration } from '../../exporters/debug/print-tree.ts'
import { names } from '../../model/attribute-names.ts'
import { Batch } from '../../model/batch.ts'
import { appSpan, batchOf, exchange, type Piece } from '../helpers/stack.ts'

const trace = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'

function printer(change: { maxPerSecond?: number; minSpans?: number } = {}) {
  let nowMs = 1000
  let text = ''
  const print = createPrinter({
    write: more => (text += more),
    nowMs: () => nowMs,
    maxPerSecond: 1,
    minSpans: 1,
    useColour: false,
    ...change,
  })
  return { print, wait: (ms: number) => (nowMs += ms), text: () => text }
}

/** The pieces as one trace in which each is the parent of the next. */
function chain(pieces: readonly Piece[], traceId = trace): Batch {
  let parentSpanId = ''
  return batchOf(
    pieces.map(piece => {
      const span = piece.span.with({ traceId, parentSpanId, attributes: { [names.linkRule]: 'tcp_seq' } })
      parentSpanId = span.spanId
      return { ...piece, span }
    }),
  )
}

t.test('prints a trace as a tree: layer, point, place, name, duration, rule', t => {
  const { print, text } = printer()
  print(
    chain([
      appSpan({ service: 'shop', trace, side: 'client', from: 0, to: 2000 }),
      ...exchange({ seq: 1, from: 100, to: 1100, client: { pid: 7 }, server: { pid: 8 }, path: ['c'] }),
    ]),
  )
  t.equal(
    text(),
    [
      `trace ${trace}  4 spans  2 ms`,
      'APP c-app  shop  shop client  2 ms  [tcp_seq]',
      ' SYS c-p    pid-7  c-p 7  1 ms  [tcp_seq]',
      '  NET c      host-1 if-c  c if-c  980 µs  [tcp_seq]',
      '   SYS s-p    pid-8  s-p 8  960 µs  [tcp_seq]',
      '',
    ].join('\n'),
  )
  t.end()
})

t.test('counts what is more than one trace a second, and says so in the next', t => {
  const { print, wait, text } = printer()
  const one = (n: number) =>
    chain(exchange({ seq: n, from: 0, to: 100, path: ['c'] }), `${n}`.padStart(32, 'b'))
  for (const n of [1, 2, 3]) print(one(n))
  wait(1000)
  print(one(4))
  t.equal(text().match(/^trace/gm)?.length, 2)
  t.match(text(), '… and 2 more traces with 2 spans\n')
  t.end()
})

t.test('says late spans in one line', t => {
  const { print, text } = printer()
  print(chain(exchange({ seq: 1, from: 0, to: 100, path: ['c'] })))
  print(chain(exchange({ seq: 1, from: 0, to: 100, path: ['s'] })))
  t.match(text(), `trace ${trace}  late: 1 joined\n`)
  t.end()
})

t.test('counts other signals', t => {
  const { print, text } = printer()
  print(Batch.ofRequest('logs', new Uint8Array(0), 3))
  t.equal(text(), 'logs: 3 items\n')
  t.end()
})

t.test('formats durations with three digits that count', t => {
  t.strictSame([812n, 43_120n, 12_340_000n, 2_051_000_000n].map(formatDuration), [
    '812 ns',
    '43.1 µs',
    '12.3 ms',
    '2.05 s',
  ])
  t.end()
})
