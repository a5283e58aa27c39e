import fc from 'fast-check'
import t from 'tap'
import { lowHalf, type PropagationContext } from '../../formats/propagation/context.ts'
import {
  contextsOfKeys,
  keysOfFields,
  messageContexts,
  parseMessageContext,
  propagationFields,
} from '../../formats/propagation/keys.ts'
import { fieldsOfSqlComments } from '../../formats/propagation/sql-comment.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = '00f067aa0ba902b7'
const base64 = (text: string) => Buffer.from(text).toString('base64')

/** What the headers say, through the attributes that carry it. */
function contextsOf(headers: Readonly<Record<string, string>>): PropagationContext[] {
  const keys = keysOfFields(name => headers[name])
  return contextsOfKeys(name => keys[name] ?? '')
}

t.test('every format names its span and its decision', t => {
  const ids = { traceId: trace, spanId: span }
  const cases: [Record<string, string>, Partial<PropagationContext>][] = [
    [{ traceparent: `00-${trace}-${span}-01` }, { ...ids, sampling: 'sampled' }],
    [{ traceparent: `00-${trace}-${span}-00` }, { ...ids, sampling: 'unsampled' }],
    [{ traceparent: `cc-${trace}-${span}-03-what-the-future-appends` }, { ...ids, sampling: 'sampled' }],
    [{ b3: `${trace}-${span}` }, { ...ids, sampling: 'deferred' }],
    [{ b3: `${trace}-${span}-1-05e3ac9a4f6e3b90` }, { ...ids, sampling: 'sampled' }],
    [{ b3: `${trace}-${span}-d` }, { ...ids, sampling: 'sampled' }],
    [{ b3: `${trace}-${span}-0` }, { ...ids, sampling: 'unsampled' }],
    [
      { 'x-b3-traceid': trace.slice(16), 'x-b3-spanid': span, 'x-b3-sampled': 'false' },
      { traceId: `${'0'.repeat(16)}${trace.slice(16)}`, spanId: span, sampling: 'unsampled' },
    ],
    [
      { 'x-b3-traceid': trace, 'x-b3-spanid': span, 'x-b3-flags': '1' },
      { ...ids, sampling: 'sampled' },
    ],
    [{ 'uber-trace-id': `${trace}:${span}:0:1` }, { ...ids, sampling: 'sampled' }],
    [{ 'uber-trace-id': `${trace}%3A${span.slice(2)}%3A${span}%3A0` }, { ...ids, sampling: 'unsampled' }],
    [
      {
        'x-datadog-trace-id': BigInt(`0x${trace.slice(16)}`).toString(),
        'x-datadog-parent-id': BigInt(`0x${span}`).toString(),
        'x-datadog-sampling-priority': '2',
        'x-datadog-tags': `_dd.p.dm=-1,_dd.p.tid=${trace.slice(0, 16)}`,
      },
      { ...ids, sampling: 'sampled' },
    ],
    [
      { 'x-datadog-trace-id': '1', 'x-datadog-parent-id': '2', 'x-datadog-sampling-priority': '-1' },
      { traceId: '1'.padStart(32, '0'), spanId: '2'.padStart(16, '0'), sampling: 'unsampled' },
    ],
    [
      { 'x-amzn-trace-id': `Parent=${span}; Root=1-${trace.slice(0, 8)}-${trace.slice(8)}; Sampled=?` },
      { ...ids, sampling: 'deferred' },
    ],
    [
      { sw8: `0-${base64('trace.1')}-${base64('segment.2')}-3-YQ==-YQ==-YQ==-YQ==` },
      { kind: 'sw8', traceId: 'trace.1', segmentId: 'segment.2', spanNumber: 3, sampling: 'unsampled' },
    ],
  ]
  for (const [headers, expected] of cases) {
    const contexts = contextsOf(headers)
    t.equal(contexts.length, 1, JSON.stringify(headers))
    t.match(contexts[0], expected, JSON.stringify(headers))
  }
  t.end()
})

t.test('an id of zero is no id, whatever the header', t => {
  const none = '0'.repeat(32)
  const headers = [
    { traceparent: `00-${none}-${span}-01` },
    { traceparent: `00-${trace}-${none.slice(16)}-01` },
    { b3: `${none.slice(16)}-${span}-1` },
    { 'x-b3-traceid': trace, 'x-b3-spanid': none.slice(16) },
    { 'uber-trace-id': `0:${span}:0:1` },
    { 'uber-trace-id': `${trace}:0:0:1` },
    { 'x-datadog-trace-id': '0', 'x-datadog-parent-id': '1' },
    { 'x-datadog-trace-id': '1', 'x-datadog-parent-id': '0' },
    { 'x-amzn-trace-id': `Root=1-00000000-${none.slice(8)};Parent=${span}` },
  ]
  for (const each of headers) t.strictSame(contextsOf(each), [], JSON.stringify(each))
  t.end()
})

t.test('what names no span is no context', t => {
  const headers = [
    { b3: '0' },
    { traceparent: `ff-${trace}-${span}-01` },
    { traceparent: `00-${trace.toUpperCase()}-${span}-01` },
    { 'x-b3-traceid': trace },
    { 'x-datadog-trace-id': (1n << 64n).toString(), 'x-datadog-parent-id': '1' },
    { 'x-amzn-trace-id': `Root=1-${trace.slice(0, 8)}-${trace.slice(8)}` },
    { 'x-amzn-trace-id': `Root=1-${trace.slice(0, 8)}-${trace.slice(8)};Parent=1` },
    { sw8: '1-a-b-0-c-d-e' },
    { sw8: '2-YQ==-YQ==-0-a-b-c-d' },
    { sw8: '1-??-YQ==-0-a-b-c-d' },
    { sw8: '1--YQ==-0-a-b-c-d' },
    { sw8: `1-${base64('a/b')}-YQ==-0-a-b-c-d` },
  ]
  for (const each of headers) t.strictSame(contextsOf(each), [], JSON.stringify(each))
  t.end()
})

t.test('a context comes back from its attribute as it went in', t => {
  const hex = (digits: number) =>
    fc
      .bigInt({ min: 1n, max: 16n ** BigInt(digits) - 1n })
      .map(value => value.toString(16).padStart(digits, '0'))
  fc.assert(
    fc.property(hex(32), hex(16), fc.constantFrom('0', '1'), (traceId, spanId, sampled) => {
      const contexts = contextsOf({
        traceparent: `00-${traceId}-${spanId}-0${sampled}`,
        b3: `${traceId}-${spanId}-${sampled}`,
        'uber-trace-id': `${traceId}:${spanId}:0:${sampled}`,
        'x-amzn-trace-id': `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=${sampled}`,
      })
      const sampling = sampled === '1' ? 'sampled' : 'unsampled'
      t.strictSame(
        contexts,
        (['traceparent', 'b3', 'uber-trace-id', 'xray'] as const).map(kind => ({
          kind,
          traceId,
          spanId,
          sampling,
        })),
      )
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('hostile values give nothing or ids of the right length, and never throw', t => {
  const nearly = fc
    .array(
      fc.constantFrom('0', 'a', 'f', '-', ':', '%3A', '=', ';', ',', 'Root=1-', trace, span, '\0', 'é'),
      {
        maxLength: 40,
      },
    )
    .map(parts => parts.join(''))
  const value = fc.oneof(fc.string({ maxLength: 600 }), nearly)
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...propagationFields), value), headers => {
      for (const context of contextsOf(headers)) {
        if (context.kind === 'sw8') continue
        t.match(context.traceId, /^(?!0{32})[0-9a-f]{32}$/)
        t.match(context.spanId, /^(?!0{16})[0-9a-f]{16}$/)
      }
      for (const text of messageContexts(name => headers[name])) t.ok(parseMessageContext(text))
    }),
    { numRuns: 300 },
  )
  fc.assert(fc.property(value, text => contextsOfKeys(() => text).length <= 6))
  fc.assert(fc.property(value, text => parseMessageContext(text) === undefined || text.includes(' ')))
  t.end()
})

t.test('one message of a batch carries its contexts as texts', t => {
  const texts = messageContexts(name => (name === 'traceparent' ? `00-${trace}-${span}-01` : undefined))
  t.strictSame(texts, [`traceparent 00-${trace}-${span}-01`])
  t.match(parseMessageContext(texts[0]!), { kind: 'traceparent', traceId: trace, spanId: span })
  t.equal(parseMessageContext('unknown x'), undefined)
  t.end()
})

t.test('the half that 64-bit headers carry, unless it is zero', t => {
  t.equal(lowHalf(trace), trace.slice(16))
  t.equal(lowHalf(`${'1'.repeat(16)}${'0'.repeat(16)}`), `${'1'.repeat(16)}${'0'.repeat(16)}`)
  t.end()
})

t.test('pairs of SQL comments are decoded, the first of a name counts', t => {
  const read = fieldsOfSqlComments([
    `/*action='%2Fpolls',traceparent='00-${trace}-${span}-01',tracestate='a%3Db\\'c'*/`,
    `/* traceparent='second',broken='%zz' */`,
  ])
  t.equal(read('traceparent'), `00-${trace}-${span}-01`)
  t.equal(read('tracestate'), "a=b'c")
  t.equal(read('action'), '/polls')
  t.equal(read('broken'), '%zz')
  t.equal(read('absent'), undefined)
  fc.assert(
    fc.property(fc.string({ maxLength: 2000 }), text => {
      fieldsOfSqlComments([text])('traceparent')
    }),
  )
  t.end()
})
