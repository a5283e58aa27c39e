import assert from 'node:assert/strict'
import { newMarker, spanText, traceJson, traces } from '../harness/messages.ts'
import { join } from '../harness/wire.ts'
import type { Chapter, Sentence } from '../sentence.ts'
import {
  assertFailure,
  assertNotDelivered,
  assertSuccess,
  delivered,
  postJson,
  type ServerWorld,
} from './world.ts'

interface SeenRequest {
  readonly resourceSpans: readonly {
    readonly resource?: Readonly<Record<string, unknown>>
    readonly schemaUrl?: string
    readonly scopeSpans: readonly {
      readonly scope?: Readonly<Record<string, unknown>>
      readonly spans: readonly Readonly<Record<string, unknown>>[]
    }[]
  }[]
}

/** Sends a span with these members as OTLP/JSON, and gives back what arrived as protobuf. */
async function throughJson(world: ServerWorld, members: string): Promise<Readonly<Record<string, unknown>>> {
  const marker = newMarker()
  assertSuccess(await postJson(world.main, traces, traceJson(`{${spanText(marker)}${members}}`)), 'json')
  const { resourceSpans } = (await delivered(world, traces, marker)) as SeenRequest
  return resourceSpans[0]!.scopeSpans[0]!.spans[0]!
}

/** Members of a span become these fields. */
const gives = (members: string, fields: Readonly<Record<string, unknown>>) => async (world: ServerWorld) => {
  const span = await throughJson(world, `,${members}`)
  for (const [name, value] of Object.entries(fields)) assert.deepEqual(span[name], value, name)
}

/** A value of an attribute becomes this one. */
const value = (json: string, expected: unknown) => async (world: ServerWorld) => {
  const span = await throughJson(world, `,"attributes":[{"key":"k","value":${json}}]`)
  const [attribute] = span['attributes'] as { value?: unknown }[]
  assert.deepEqual(attribute?.value, expected)
}

/** One span whose value cannot be taken: 400, since nothing is left. */
const refused = (members: string) => async (world: ServerWorld) => {
  const marker = newMarker()
  const reply = await postJson(world.main, traces, traceJson(`{${spanText(marker)},${members}}`))
  const { message } = assertFailure(reply, 400, 'json')
  assert.match(message ?? '', /\w/)
  await assertNotDelivered(world, marker)
}

/** Text that is no JSON: 400 with a Status, nothing delivered. */
const noJson = (text: (good: string) => string | Uint8Array) => async (world: ServerWorld) => {
  const marker = newMarker()
  assertFailure(await postJson(world.main, traces, text(traceJson(`{${spanText(marker)}}`))), 400, 'json')
  await assertNotDelivered(world, marker)
}

/** Text that is JSON though it looks strange. */
const isJson = (text: (good: string) => string | Uint8Array) => async (world: ServerWorld) => {
  const marker = newMarker()
  assertSuccess(await postJson(world.main, traces, text(traceJson(`{${spanText(marker)}}`))), 'json')
  await world.sink.find(marker)
}

const traceId = '5B8EFFF798038103D269B633813FC60C'
const hex = (text: string) => `hex:${text.toLowerCase()}`
const bytes = (...values: readonly number[]) => `hex:${Buffer.from(values).toString('hex')}`
const nested = (depth: number, open: string, inner: string, close: string) =>
  open.repeat(depth) + inner + close.repeat(depth)

const mappingSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'json-hex-ids',
    level: 'MUST',
    says: 'Trace and span ids are hex in any case, not base64.',
    checks: {
      'upper case': gives(`"traceId":"${traceId}"`, { traceId: hex(traceId) }),
      'lower case': gives(`"traceId":"${traceId.toLowerCase()}"`, { traceId: hex(traceId) }),
      'mixed case': gives('"spanId":"eEe19b7EC3c1b174"', { spanId: hex('eee19b7ec3c1b174') }),
      parentSpanId: gives('"parentSpanId":"EEE19B7EC3C1B173"', { parentSpanId: hex('eee19b7ec3c1b173') }),
      'ids of links': gives(`"links":[{"traceId":"${traceId}","spanId":"EEE19B7EC3C1B173"}]`, {
        links: [{ traceId: hex(traceId), spanId: hex('eee19b7ec3c1b173') }],
      }),
      'an empty parentSpanId is none': async world => {
        const span = await throughJson(world, ',"parentSpanId":""')
        assert.ok([undefined, 'hex:'].includes(span['parentSpanId'] as string | undefined))
      },
      'base64 is refused': refused('"traceId":"W47/95gDgQPSabYzgT/GDA=="'),
      'an odd number of digits is refused': refused(`"traceId":"${traceId}0"`),
      'a letter beyond f is refused': refused(`"traceId":"g${traceId.slice(1)}"`),
      'an id that is a number is refused': refused('"spanId":1234567890123456'),
    },
  },
  {
    id: 'json-enums-integers',
    level: 'MUST',
    says: 'Values of enums are integers.',
    checks: {
      kind: gives('"kind":3', { kind: 3 }),
      'status.code': gives('"status":{"code":2,"message":"no"}', { status: { code: 2, message: 'no' } }),
      'a value that nobody knows yet': gives('"kind":77', { kind: 77 }),
      'an integer in quotes': gives('"kind":"4"', { kind: 4 }),
      'a fraction is refused': refused('"kind":1.5'),
      'a word that is no name is refused': refused('"kind":"server"'),
    },
  },
  {
    id: 'json-unknown-fields',
    level: 'MUST',
    says: 'Members of unknown names are ignored, whatever they hold.',
    checks: {
      'a word': gives('"future":true,"kind":3', { kind: 3 }),
      'an object and a list': gives('"future":{"a":[1,{"b":null}]},"more":[[[]]],"kind":3', { kind: 3 }),
      'deep but finite': gives(`"future":${nested(90, '[', '', ']')},"kind":3`, { kind: 3 }),
      'in an attribute value': value('{"futureValue":1,"stringValue":"x"}', { stringValue: 'x' }),
      'an attribute value of a future kind alone': value('{"futureValue":{"x":1}}', {}),
      'at the top': isJson(good => `{"future":{"traceId":5},${good.slice(1)}`),
      'a known name in another case': gives('"Kind":5,"kind":3', { kind: 3 }),
    },
  },
  {
    id: 'json-camel-case',
    level: 'MUST',
    says: 'Members are named in lowerCamelCase.',
    checks: {
      'every field of a span': gives(
        '"traceState":"a=b","flags":257,"droppedAttributesCount":1,"droppedEventsCount":2,"droppedLinksCount":3',
        {
          traceState: 'a=b',
          flags: 257,
          droppedAttributesCount: 1,
          droppedEventsCount: 2,
          droppedLinksCount: 3,
        },
      ),
      events: gives('"events":[{"timeUnixNano":"9","name":"e","droppedAttributesCount":4}]', {
        events: [{ timeUnixNano: '9', name: 'e', droppedAttributesCount: 4 }],
      }),
    },
  },
  {
    id: 'json-64-bit',
    level: 'MUST',
    says: '64-bit integers come as strings or as numbers, exactly.',
    checks: {
      'a string': gives('"startTimeUnixNano":"1544712660000000123"', {
        startTimeUnixNano: '1544712660000000123',
      }),
      'a number beyond 2^53': gives('"startTimeUnixNano":1544712660000000123', {
        startTimeUnixNano: '1544712660000000123',
      }),
      'the largest fixed64': gives('"endTimeUnixNano":"18446744073709551615"', {
        endTimeUnixNano: '18446744073709551615',
      }),
      'the largest, as a number': gives('"endTimeUnixNano":18446744073709551615', {
        endTimeUnixNano: '18446744073709551615',
      }),
      'the smallest int64': value('{"intValue":"-9223372036854775808"}', {
        intValue: '-9223372036854775808',
      }),
      'the smallest, as a number': value('{"intValue":-9223372036854775808}', {
        intValue: '-9223372036854775808',
      }),
      'the largest int64, as a number': value('{"intValue":9223372036854775807}', {
        intValue: '9223372036854775807',
      }),
      'an exponent': gives('"startTimeUnixNano":1.5e18', { startTimeUnixNano: '1500000000000000000' }),
      'an exponent in quotes': gives('"startTimeUnixNano":"15E17"', {
        startTimeUnixNano: '1500000000000000000',
      }),
      'a fraction of zeros': value('{"intValue":12.000}', { intValue: '12' }),
      'a negative zero': value('{"intValue":-0}', { intValue: '0' }),
      zero: value('{"intValue":"0"}', { intValue: '0' }),
      'too large is refused': refused('"startTimeUnixNano":"18446744073709551616"'),
      'too large as int64 is refused': refused(
        '"attributes":[{"key":"k","value":{"intValue":9223372036854775808}}]',
      ),
      'a negative time is refused': refused('"startTimeUnixNano":"-1"'),
      'a real fraction is refused': refused('"startTimeUnixNano":1.5'),
      'an empty string is refused': refused('"startTimeUnixNano":""'),
      'spaces in quotes are refused': refused('"startTimeUnixNano":" 5"'),
    },
  },
  {
    id: 'json-32-bit',
    level: 'MUST',
    says: '32-bit integers come as numbers or as strings, within their range.',
    checks: {
      'the largest uint32': gives('"droppedAttributesCount":4294967295', {
        droppedAttributesCount: 4294967295,
      }),
      'in quotes': gives('"droppedAttributesCount":"17"', { droppedAttributesCount: 17 }),
      'with an exponent': gives('"droppedAttributesCount":1e2', { droppedAttributesCount: 100 }),
      'all bits of flags': gives('"flags":4294967295', { flags: 4294967295 }),
      'too large is refused': refused('"droppedAttributesCount":4294967296'),
      'negative is refused': refused('"droppedAttributesCount":-1'),
    },
  },
]

const valueSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'json-null',
    level: 'MUST',
    says: 'null is taken for every field, and means that it is not set.',
    checks: {
      'every field of a span': async world => {
        const nulls = [
          'kind',
          'traceState',
          'parentSpanId',
          'flags',
          'attributes',
          'events',
          'links',
          'status',
        ]
        const span = await throughJson(world, `,${nulls.map(name => `"${name}":null`).join()}`)
        assert.equal(span['attributes'], undefined)
      },
      'doubleValue, as SDKs send NaN': value('{"doubleValue":null}', {}),
      value: value('null', undefined),
      'a resource and a scope': isJson(good =>
        good
          .replace('{"scopeSpans"', '{"resource":null,"schemaUrl":null,"scopeSpans"')
          .replace('{"spans"', '{"scope":null,"spans"'),
      ),
      'a list of resources': async ({ main }) =>
        assertSuccess(await postJson(main, traces, '{"resourceSpans":null}'), 'json'),
      'a double that is null among attributes that are not': async world => {
        const span = await throughJson(
          world,
          ',"attributes":[{"key":"a","value":{"doubleValue":null}},{"key":"b","value":{"stringValue":"x"}}]',
        )
        assert.equal((span['attributes'] as unknown[]).length, 2)
      },
    },
  },
  {
    id: 'json-double',
    level: 'MUST',
    says: 'Doubles are numbers, numbers in quotes, "NaN", "Infinity" or "-Infinity".',
    checks: {
      'a number': value('{"doubleValue":3.25}', { doubleValue: 3.25 }),
      'an integer': value('{"doubleValue":3}', { doubleValue: 3 }),
      'in quotes': value('{"doubleValue":"-2.5e-3"}', { doubleValue: -0.0025 }),
      NaN: value('{"doubleValue":"NaN"}', { doubleValue: Number.NaN }),
      Infinity: value('{"doubleValue":"Infinity"}', { doubleValue: Number.POSITIVE_INFINITY }),
      '-Infinity': value('{"doubleValue":"-Infinity"}', { doubleValue: Number.NEGATIVE_INFINITY }),
      '-0 keeps its sign': value('{"doubleValue":-0}', { doubleValue: -0 }),
      '-0.0 keeps its sign': value('{"doubleValue":-0.0}', { doubleValue: -0 }),
      'the smallest there is': value('{"doubleValue":5e-324}', { doubleValue: 5e-324 }),
      'the largest there is': value('{"doubleValue":1.7976931348623157e308}', {
        doubleValue: 1.7976931348623157e308,
      }),
      'a word is refused': refused('"attributes":[{"key":"k","value":{"doubleValue":"nan"}}]'),
      'beyond a double is refused': refused('"attributes":[{"key":"k","value":{"doubleValue":1e400}}]'),
    },
  },
  {
    id: 'json-bytes',
    level: 'MUST',
    says: 'Bytes are base64 of either alphabet, with or without padding.',
    checks: {
      'standard, padded': value('{"bytesValue":"+/+/AA=="}', { bytesValue: bytes(0xfb, 0xff, 0xbf, 0) }),
      'standard, not padded': value('{"bytesValue":"+/+/AA"}', { bytesValue: bytes(0xfb, 0xff, 0xbf, 0) }),
      'for URLs, padded': value('{"bytesValue":"-_-_AA=="}', { bytesValue: bytes(0xfb, 0xff, 0xbf, 0) }),
      'for URLs, not padded': value('{"bytesValue":"-_-_AA"}', { bytesValue: bytes(0xfb, 0xff, 0xbf, 0) }),
      none: value('{"bytesValue":""}', { bytesValue: 'hex:' }),
      'one letter too many is refused': refused('"attributes":[{"key":"k","value":{"bytesValue":"AAAAA"}}]'),
      'a sign of neither alphabet is refused': refused(
        '"attributes":[{"key":"k","value":{"bytesValue":"A*=="}}]',
      ),
    },
  },
  {
    id: 'json-any-value',
    level: 'MUST',
    says: 'An attribute value is of any kind, also empty, nested or mixed.',
    checks: {
      'a bool that is false': value('{"boolValue":false}', { boolValue: false }),
      'an empty string': value('{"stringValue":""}', { stringValue: '' }),
      nothing: value('{}', {}),
      'an empty list': value('{"arrayValue":{}}', { arrayValue: {} }),
      'a mixed list': value(
        '{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x"},{},{"arrayValue":{"values":[]}}]}}',
        {
          arrayValue: { values: [{ intValue: '1' }, { stringValue: 'x' }, {}, { arrayValue: {} }] },
        },
      ),
      'a map': value('{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":true}},{"key":""}]}}', {
        kvlistValue: { values: [{ key: 'a', value: { boolValue: true } }, {}] },
      }),
      'thirty levels': value(
        nested(30, '{"arrayValue":{"values":[', '{"intValue":1}', ']}}'),
        JSON.parse(nested(30, '{"arrayValue":{"values":[', '{"intValue":"1"}', ']}}')),
      ),
      'a bool that is a word in quotes is refused': refused(
        '"attributes":[{"key":"k","value":{"boolValue":"true"}}]',
      ),
      'a string that is a number is refused': refused('"attributes":[{"key":"k","value":{"stringValue":5}}]'),
      'a list where an object belongs is refused': refused('"attributes":[{"key":"k","value":[]}]'),
      'an object where a list belongs is refused': refused('"attributes":{"key":"k"}'),
    },
  },
]

const textSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'json-strings',
    level: 'MUST',
    says: 'Strings may use every escape of JSON.',
    checks: {
      'all escapes': value('{"stringValue":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00fC"}', {
        stringValue: '"\\/\b\f\n\r\t\u0000ü',
      }),
      'a pair of surrogates': value('{"stringValue":"\\ud83d\\ude00😀"}', { stringValue: '😀😀' }),
      'an escaped key': gives('"\\u006bind":3', { kind: 3 }),
      'half a pair does no harm': value('{"stringValue":"a\\ud83dz"}', { stringValue: 'a\ufffdz' }),
    },
  },
  {
    id: 'json-white-space',
    level: 'MUST',
    says: 'White space may stand around everything.',
    checks: {
      everywhere: isJson(good => ` \r\n\t${good.replaceAll(/([[\]{},:])(?=["[{\]}])/g, '$1 \n')}\n\t `),
      'a byte order mark': isJson(good => `\ufeff${good}`),
    },
  },
  {
    id: 'json-order',
    level: 'MUST',
    says: 'Members come in any order, and twice without harm.',
    checks: {
      'ids last': isJson(good => {
        const { resourceSpans } = JSON.parse(good) as {
          resourceSpans: { scopeSpans: { spans: object[] }[] }[]
        }
        const [span] = resourceSpans[0]!.scopeSpans[0]!.spans
        return traceJson(JSON.stringify(Object.fromEntries(Object.entries(span!).toReversed())))
      }),
      'the last of two counts': gives('"kind":1,"kind":5', { kind: 5 }),
      'the last of two values counts': value('{"stringValue":"a","intValue":"5"}', { intValue: '5' }),
    },
  },
  {
    id: 'json-syntax-400',
    level: 'MUST',
    says: 'What is not JSON is 400, and no part of it is delivered.',
    checks: {
      'cut off': noJson(good => good.slice(0, -1)),
      'something behind it': noJson(good => `${good}x`),
      'two of them': noJson(good => good + good),
      'a comma too many': noJson(good => good.replace('}]', '},]')),
      'a comma at the end of an object': noJson(good => `${good.slice(0, -1)},}`),
      'single quotes': noJson(good => good.replaceAll('"', "'")),
      'keys without quotes': noJson(good => good.replace('"resourceSpans"', 'resourceSpans')),
      'a comment': noJson(good => `${good}// nothing`),
      'NaN as a word': noJson(good => good.replace('"kind":2', '"kind":NaN')),
      'a number with a leading zero': noJson(good => good.replace('"kind":2', '"kind":02')),
      'a number with a plus': noJson(good => good.replace('"kind":2', '"kind":+2')),
      'a number that ends in a dot': noJson(good => good.replace('"kind":2', '"kind":2.')),
      'an unknown escape': noJson(good => good.replace('"kind":2', '"traceState":"\\x"')),
      'a line break in a string': noJson(good => good.replace('"kind":2', '"traceState":"a\nb"')),
      'a null byte': noJson(good => `${good}\u0000`),
      'UTF-16': noJson(good => Buffer.from(good, 'utf16le')),
      'bytes that are no UTF-8': noJson(good => {
        const [before = '', after = ''] = good.split('"kind":2')
        return join(before, '"traceState":"', Uint8Array.of(0xc3, 0x28), '"', after)
      }),
      'half of a letter at the end of a string': noJson(good => {
        const [before = '', after = ''] = good.split('"kind":2')
        return join(before, '"traceState":"', Uint8Array.of(0xe2, 0x82), '"', after)
      }),
      'nothing at all': noJson(() => ''),
      'white space': noJson(() => '  \n'),
    },
  },
  {
    id: 'json-shape-400',
    level: 'MUST',
    says: 'JSON that is no object of the request is 400.',
    checks: {
      'a list': noJson(good => `[${good}]`),
      'a string': noJson(() => '"x"'),
      'a number': noJson(() => '5'),
      null: noJson(() => 'null'),
      true: noJson(() => 'true'),
      'resourceSpans that is an object': noJson(good => good.replace('[', '').replace(/\]\}$/, '}')),
      'resourceSpans that is text': noJson(() => '{"resourceSpans":"x"}'),
      'a resource that is a list': noJson(good =>
        good.replace('{"scopeSpans"', '{"resource":[],"scopeSpans"'),
      ),
      'spans of numbers': noJson(() => '{"resourceSpans":[{"scopeSpans":[{"spans":[1,2]}]}]}'),
    },
  },
  {
    id: 'json-nesting',
    level: 'MUST',
    says: 'Nesting without end is 400, and harms nobody.',
    checks: {
      'a million brackets': noJson(() => '['.repeat(1_000_000)),
      'a million brackets in an unknown member': noJson(() => `{"future":${'['.repeat(1_000_000)}`),
      'a hundred thousand objects': noJson(() => `{"future":${nested(100_000, '{"a":', '1', '}')}}`),
      'a hundred thousand nested values': noJson(() =>
        traceJson(
          `{${spanText('deep')},"attributes":[{"key":"k","value":${nested(100_000, '{"arrayValue":{"values":[', '{}', ']}}')}}]}`,
        ),
      ),
    },
  },
]

export const jsonChapters: readonly Chapter<ServerWorld>[] = [
  { source: 'OTLP 1.11, "JSON Protobuf Encoding"', sentences: mappingSentences },
  { source: 'Proto3 JSON mapping, values', sentences: valueSentences },
  { source: 'RFC 8259, JSON', sentences: textSentences },
]
