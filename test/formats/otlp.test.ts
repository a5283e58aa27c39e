import fc from 'fast-check'
import t from 'tap'
import { checkRequest } from '../../formats/otlp/check.ts'
import { countItems } from '../../formats/otlp/count.ts'
import { JsonMappingError, readJsonRequest } from '../../formats/otlp/json-read.ts'
import { JsonSyntaxError } from '../../formats/otlp/json-text.ts'
import { writeJsonRequest } from '../../formats/otlp/json-write.ts'
import { signalFacts } from '../../formats/otlp/signals.ts'
import { Batch, type Signal } from '../../model/batch.ts'
import { Writer } from '../../model/wire.ts'
import { damaged, messages } from '../helpers/otlp-arbitrary.ts'
import { decodeWith, encodeWith, isReadable } from '../helpers/otlp-oracle.ts'
import { spanFields, traceRequest } from '../helpers/otlp-requests.ts'

const signals: readonly Signal[] = ['traces', 'metrics', 'logs', 'profiles']
/** Without shrinking: a message is drawn step by step, and smaller draws are other messages. */
const runs = { numRuns: Number(process.env['FULLSPAN_TEST_RUNS'] ?? 300), endOnFailure: true }

function requestName(signal: Signal): string {
  return signalFacts[signal].request
}

for (const signal of signals) {
  t.test(`${signal}: the check passes every valid request as it is, and counts its items`, t => {
    fc.assert(
      fc.property(messages(requestName(signal)), bytes => {
        const checked = checkRequest(signal, bytes)
        if (!checked.isUsable) throw new Error(checked.message)
        return checked.bytes === bytes && checked.items === countItems(signal, bytes)
      }),
      runs,
    )
    t.pass()
    t.end()
  })

  t.test(`${signal}: what the check passes protobufjs reads, whatever happened to the bytes`, t => {
    fc.assert(
      fc.property(damaged(messages(requestName(signal))), bytes => {
        const checked = checkRequest(signal, bytes)
        if (!checked.isUsable) return
        if (!isReadable(requestName(signal), checked.bytes)) throw new Error('protobufjs does not read it')
        if (countItems(signal, checked.bytes) !== checked.items) throw new Error('items')
        JSON.parse(writeJsonRequest(signal, checked.bytes))
        const batch = Batch.ofRequest(signal, checked.bytes, checked.items)
        const read: unknown[] = []
        for (const { spans, resource, scope } of batch.groups) {
          read.push(resource.attributes, scope.attributes)
          for (const { attributes, events, links, status, name } of spans)
            read.push(attributes, events, links, status, name)
        }
      }),
      { ...runs, numRuns: runs.numRuns * 3 },
    )
    t.pass()
    t.end()
  })

  t.test(`${signal}: protobuf to JSON and back says the same`, t => {
    fc.assert(
      fc.property(messages(requestName(signal)), bytes => {
        const json = writeJsonRequest(signal, bytes)
        const back = readJsonRequest(signal, Buffer.from(json))
        t.same(decodeWith(requestName(signal), back.bytes), decodeWith(requestName(signal), bytes))
        t.equal(writeJsonRequest(signal, back.bytes), json)
      }),
      runs,
    )
    t.end()
  })
}

t.test('counts data points of every kind of metric', t => {
  const dataPoints = [{}, {}]
  const metrics = [
    { gauge: { dataPoints } },
    { sum: { dataPoints } },
    { histogram: { dataPoints } },
    { exponentialHistogram: { dataPoints } },
    { summary: { dataPoints: [{}] } },
    { name: 'without points' },
  ]
  const request = encodeWith('ExportMetricsServiceRequest', {
    resourceMetrics: [{ scopeMetrics: [{ metrics }] }],
  })
  t.equal(countItems('metrics', request), 9)
  t.end()
})

t.test('the check takes broken spans out and leaves their neighbours as they are', t => {
  const good = [
    spanFields(1),
    spanFields(2, { links: [{ traceId: Buffer.alloc(16), spanId: Buffer.alloc(8) }] }),
  ]
  const broken: Record<string, object> = {
    'trace_id has 15 bytes': { traceId: Buffer.alloc(15, 1) },
    'trace_id has 32 bytes': { traceId: Buffer.alloc(32, 1) },
    'trace_id is missing': { traceId: Buffer.alloc(16) },
    'span_id has 16 bytes': { spanId: Buffer.alloc(16, 1) },
    'span_id is missing': { spanId: Buffer.alloc(0) },
    'parent_span_id has 4 bytes': { parentSpanId: Buffer.alloc(4, 1) },
    'a trace id of 8 bytes': { links: [{ traceId: Buffer.alloc(8, 1), spanId: Buffer.alloc(8, 1) }] },
    'a span id of 16 bytes': { links: [{ traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(16, 1) }] },
  }
  for (const [reason, fields] of Object.entries(broken)) {
    const checked = checkRequest('traces', traceRequest([good[0]!, spanFields(9, fields), good[1]!]))
    if (!checked.isUsable) throw new Error(checked.message)
    t.same(Buffer.from(checked.bytes), Buffer.from(traceRequest(good)), reason)
    t.equal(checked.items, 2)
    t.equal(checked.refusals.items, 1)
    t.match([...checked.refusals.reasons.keys()][0], reason)
  }
  t.end()
})

t.test('a broken resource or scope takes its own spans with it, not those of others', t => {
  const spans = [spanFields(1), spanFields(2)]
  const scopeSpans = [{ scope: { name: 'a' }, spans }]
  const whole = { resource: { attributes: [{ key: 'k', value: { stringValue: 'v' } }] }, scopeSpans }
  const other = {
    resource: {},
    scopeSpans: [{ scope: { name: 'bbbb' }, spans: [spanFields(3)] }],
    schemaUrl: 'u',
  }
  const request = Buffer.from(encodeWith('ExportTraceServiceRequest', { resourceSpans: [whole, other] }))
  const breakAt = (text: string, byte: number) => {
    const copy = Buffer.from(request)
    copy[copy.indexOf(text) - 1] = byte
    return checkRequest('traces', copy)
  }
  const resourceBroken = breakAt('v', 100)
  if (!resourceBroken.isUsable) throw new Error(resourceBroken.message)
  t.equal(resourceBroken.items, 1)
  t.equal(resourceBroken.refusals.items, 2)
  const rest = encodeWith('ExportTraceServiceRequest', { resourceSpans: [other] })
  t.same(Buffer.from(resourceBroken.bytes), Buffer.from(rest))
  const scopeBroken = breakAt('bbbb', 100)
  if (!scopeBroken.isUsable) throw new Error(scopeBroken.message)
  t.equal(scopeBroken.items, 2)
  t.match(decodeWith('ExportTraceServiceRequest', scopeBroken.bytes), {
    resourceSpans: [{}, { schemaUrl: 'u', scopeSpans: undefined }],
  })
  t.end()
})

t.test('the check refuses nesting without end, groups that do not close, and endless varints', t => {
  let value: Uint8Array = new Uint8Array(0)
  for (let depth = 0; depth < 60; depth++) value = wrapped(5, wrapped(1, value))
  const deep = wrapped(1, wrapped(2, wrapped(2, wrapped(5, value))))
  t.match(checkRequest('logs', deep), { isUsable: false, message: /nested more than 100 deep/ })
  t.equal(checkRequest('logs', Buffer.alloc(1_000_000, 0x7b)).isUsable, false, 'a million groups open')
  t.equal(checkRequest('logs', Buffer.alloc(1_000_000, 0xff)).isUsable, false)
  t.equal(checkRequest('traces', Buffer.from('7b7c', 'hex')).isUsable, true, 'a group of an unknown field')
  t.equal(
    checkRequest('traces', Buffer.from('7b84 01'.replace(' ', ''), 'hex')).isUsable,
    false,
    'closed by another',
  )
  t.equal(
    checkRequest('traces', Buffer.from('0801', 'hex')).isUsable,
    false,
    'a wire type that is not the field’s',
  )
  t.end()
})

function wrapped(field: number, inner: Uint8Array): Uint8Array {
  const writer = new Writer()
  writer.bytesField(field, inner)
  return writer.finish()
}

t.test('JSON: is JSON exactly where JSON.parse says so', t => {
  const seed = JSON.stringify({
    resourceSpans: [
      { a: [1, -0.5e3, 'x\\"\u00e9', true, null, {}], resource: { attributes: [] }, schemaUrl: 'a' },
    ],
  })
  const text = damaged(fc.constant(Buffer.from(seed, 'latin1'))).map(bytes =>
    Buffer.from(bytes).toString('latin1'),
  )
  fc.assert(
    fc.property(fc.oneof(text, fc.json(), fc.string()), candidate => {
      const ours = outcome(candidate)
      let theirs = true
      try {
        theirs = typeof JSON.parse(candidate) === 'object' && candidate.trim().startsWith('{')
      } catch {
        theirs = false
      }
      // What is no OTLP is told before the rest of the text has been seen.
      if (ours !== 'mapping' && (ours === 'fine') !== theirs) throw new Error(`${ours} ${theirs}`)
    }),
    { ...runs, numRuns: runs.numRuns * 10 },
  )
  t.pass()
  t.end()
})

function outcome(text: string): 'fine' | 'syntax' | 'mapping' {
  try {
    readJsonRequest('traces', Buffer.from(text))
    return 'fine'
  } catch (error) {
    if (error instanceof JsonSyntaxError) return 'syntax'
    if (error instanceof JsonMappingError) return 'mapping'
    throw error
  }
}

/** An attribute value through JSON, as protobufjs then reads it. */
function readValue(json: string): unknown {
  const text = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${json}}]}]}]}`
  const { bytes, refusals } = readJsonRequest('logs', Buffer.from(text))
  if (refusals.items > 0) return [...refusals.reasons.keys()][0]
  const decoded = decodeWith('ExportLogsServiceRequest', bytes) as {
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: unknown }] }] }]
  }
  return decoded.resourceLogs[0].scopeLogs[0].logRecords[0].body
}

t.test('JSON: reads what senders write, exactly', t => {
  const cases: [string, unknown][] = [
    ['{"intValue":"9223372036854775807"}', { intValue: '9223372036854775807' }],
    ['{"intValue":9223372036854775807}', { intValue: '9223372036854775807' }],
    ['{"intValue":-9223372036854775808}', { intValue: '-9223372036854775808' }],
    ['{"intValue":9007199254740993}', { intValue: '9007199254740993' }],
    ['{"intValue":"9007199254740993.0"}', { intValue: '9007199254740993' }],
    ['{"intValue":1.5e3}', { intValue: '1500' }],
    ['{"intValue":"-12e-1"}', /intValue must be/],
    ['{"intValue":120E-1}', { intValue: '12' }],
    ['{"intValue":-0}', { intValue: '0' }],
    ['{"intValue":9223372036854775808}', /intValue must be/],
    ['{"intValue":1e400}', /intValue must be/],
    ['{"intValue":""}', /intValue must be/],
    ['{"intValue":true}', /intValue must be/],
    ['{"int_value":7}', { intValue: '7' }],
    ['{"doubleValue":"NaN"}', { doubleValue: Number.NaN }],
    ['{"doubleValue":"-Infinity"}', { doubleValue: Number.NEGATIVE_INFINITY }],
    ['{"doubleValue":-0}', { doubleValue: -0 }],
    ['{"doubleValue":"2.5"}', { doubleValue: 2.5 }],
    ['{"doubleValue":1e999}', /doubleValue must be a number/],
    ['{"doubleValue":null}', {}],
    ['null', undefined],
    ['{"boolValue":false}', { boolValue: false }],
    ['{"boolValue":"true"}', /boolValue must be true or false/],
    ['{"stringValue":"\\ud83d\\ude00 \\ud800"}', { stringValue: '😀 \ufffd' }],
    ['{"stringValue":5}', /stringValue must be a string/],
    ['{"bytesValue":"+/8="}', { bytesValue: 'hex:fbff' }],
    ['{"bytesValue":"+/8"}', { bytesValue: 'hex:fbff' }],
    ['{"bytesValue":"-_8="}', { bytesValue: 'hex:fbff' }],
    ['{"bytesValue":"-_8"}', { bytesValue: 'hex:fbff' }],
    ['{"bytesValue":"a"}', /bytesValue must be base64/],
    [
      '{"arrayValue":{"values":[{"intValue":1},null,{"stringValue":"b"}]}}',
      {
        arrayValue: { values: [{ intValue: '1' }, {}, { stringValue: 'b' }] },
      },
    ],
    ['{"arrayValue":{"values":null}}', { arrayValue: {} }],
    [
      '{"kvlistValue":{"values":[{"key":"a","value":{"intValue":1},"later":[{"x":null}]}]}}',
      {
        kvlistValue: { values: [{ key: 'a', value: { intValue: '1' } }] },
      },
    ],
    ['[]', /body must be an object/],
  ]
  for (const [json, wanted] of cases) {
    if (wanted instanceof RegExp) t.match(readValue(json), wanted, json)
    else t.strictSame(readValue(json), wanted, json)
  }
  t.end()
})

t.test('JSON: ids are hex, enums integers or names, original field names are known', t => {
  const span = {
    trace_id: '5B8EFFF798038103d269B633813FC60C',
    spanId: 'eee19b7ec3c1b174',
    kind: 'SPAN_KIND_SERVER',
    start_time_unix_nano: 1544712660000000001n,
    status: { code: 'STATUS_CODE_ERROR' },
    flags: '257',
    unknownField: { anything: [1, { deep: null }] },
  }
  const text = JSON.stringify(
    { resource_spans: [{ scopeSpans: [{ spans: [span] }] }] },
    (_key, value: unknown) => (typeof value === 'bigint' ? `@${value}` : value),
  ).replaceAll(/"@(\d+)"/g, '$1')
  const { bytes } = readJsonRequest('traces', Buffer.from(text))
  t.match(decodeWith('ExportTraceServiceRequest', bytes), {
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              {
                traceId: 'hex:5b8efff798038103d269b633813fc60c',
                spanId: 'hex:eee19b7ec3c1b174',
                kind: 2,
                startTimeUnixNano: '1544712660000000001',
                status: { code: 2 },
                flags: 257,
              },
            ],
          },
        ],
      },
    ],
  })
  const json = JSON.parse(writeJsonRequest('traces', bytes)) as {
    resourceSpans: [{ scopeSpans: [{ spans: [object] }] }]
  }
  t.same(json.resourceSpans[0].scopeSpans[0].spans[0], {
    traceId: '5b8efff798038103d269b633813fc60c',
    spanId: 'eee19b7ec3c1b174',
    kind: 2,
    startTimeUnixNano: '1544712660000000001',
    status: { code: 2 },
    flags: 257,
  })
  t.end()
})

t.test('JSON: nesting without end is an error, not the end of the process', t => {
  const open = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":'
  const body = '{"arrayValue":{"values":['
  t.equal(outcomeOf(open + body.repeat(100_000)), 'JsonMappingError')
  t.equal(outcomeOf(`{"x":${'['.repeat(1_000_000)}`), 'JsonSyntaxError')
  t.end()
})

function outcomeOf(text: string): string {
  try {
    readJsonRequest('logs', Buffer.from(text))
    return 'fine'
  } catch (error) {
    return error instanceof Error ? error.name : 'no error'
  }
}
