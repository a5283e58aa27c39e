import assert from 'node:assert/strict'
import { gzipSync } from 'node:zlib'
import { decodeWith } from '../../helpers/otlp-oracle.ts'
import { send } from '../harness/http.ts'
import {
  idsOf,
  jsonRequest,
  jsonSpan,
  logs,
  metrics,
  newMarker,
  protobufRequest,
  type SignalInfo,
  signals,
  spanText,
  traceJson,
  traces,
} from '../harness/messages.ts'
import { field, join } from '../harness/wire.ts'
import type { Chapter, Sentence } from '../sentence.ts'
import {
  assertFailure,
  assertNotDelivered,
  assertSuccess,
  delivered,
  type Encoding,
  jsonType,
  postJson,
  postProtobuf,
  protobufType,
  type ServerWorld,
  smallBytes,
  typeOf,
} from './world.ts'

type Check = (world: ServerWorld) => Promise<void>

const forSignals = (name: (signal: SignalInfo) => string, check: (signal: SignalInfo) => Check) =>
  Object.fromEntries(signals.map(signal => [name(signal), check(signal)]))

const bodyOf = (signal: SignalInfo, encoding: Encoding, marker: string): Uint8Array =>
  encoding === 'json' ? Buffer.from(jsonRequest(signal, marker)) : protobufRequest(signal, marker)

const post = { protobuf: postProtobuf, json: postJson }

/** A request of one span and a field that nobody knows, of this many bytes. */
function requestOfSize(sizeBytes: number, encoding: Encoding, marker: string): Uint8Array {
  const whole = bodyOf(traces, encoding, marker)
  if (encoding === 'json') {
    const filler = sizeBytes - whole.length - '"filler":"",'.length
    return join('{"filler":"', 'x'.repeat(filler), '",', whole.subarray(1))
  }
  for (let filler = sizeBytes - whole.length - 10; ; filler++) {
    const padded = join(whole, field(1999, Buffer.alloc(filler, 'x')))
    if (padded.length === sizeBytes) return padded
  }
}

const isFull: Sentence<ServerWorld>['checks'] = {
  ...Object.fromEntries(
    signals.flatMap(signal =>
      (['protobuf', 'json'] as const).map(encoding => [
        `${signal.name}, ${encoding}`,
        async ({ full }: ServerWorld) => {
          const reply = await post[encoding](full, signal, bodyOf(signal, encoding, newMarker()))
          assertFailure(reply, 503, encoding)
          assert.match(String(reply.headers['retry-after']), /^[1-9]\d*$/)
        },
      ]),
    ),
  ),
}

const tooLarge =
  (
    encoding: Encoding,
    shape: (body: Uint8Array) => { body: Uint8Array; headers?: Record<string, string> },
  ): Check =>
  async world => {
    const marker = newMarker()
    const { body, headers } = shape(requestOfSize(smallBytes + 1, encoding, marker))
    const reply = await post[encoding](world.small, traces, body, headers)
    assertFailure(reply, 413, encoding)
    assert.equal(reply.headers['retry-after'], undefined, 'nothing that invites to try again')
    await assertNotDelivered(world, marker)
  }

const requestSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http-default-paths',
    level: 'MUST',
    says: 'Each signal is taken by POST on its default path, as protobuf and as JSON.',
    checks: Object.fromEntries(
      signals.flatMap(signal =>
        (['protobuf', 'json'] as const).map(encoding => [
          `${signal.path}, ${encoding}`,
          async (world: ServerWorld) => {
            const marker = newMarker()
            assertSuccess(
              await post[encoding](world.main, signal, bodyOf(signal, encoding, marker)),
              encoding,
            )
            const { path } = await world.sink.find(marker)
            assert.equal(path, signal.path)
          },
        ]),
      ),
    ),
  },
  {
    id: 'http-own-paths',
    level: 'MAY',
    says: 'Other paths can be configured.',
    checks: {
      traces_url_path: async ({ few, sink }) => {
        const marker = newMarker()
        const headers = { 'content-type': protobufType }
        assertSuccess(
          await send(few.http, { path: '/in/spans', headers, body: protobufRequest(traces, marker) }),
        )
        await sink.find(marker)
      },
      'the default path is gone then': async ({ few }) =>
        void assertFailure(await postProtobuf(few, traces, protobufRequest(traces, newMarker())), 404),
    },
  },
  {
    id: 'http-limit-413',
    level: 'MUST',
    says: 'A body beyond the limit, as sent or inflated, is answered with 413; nothing of it is delivered.',
    checks: {
      'one byte too large, protobuf': tooLarge('protobuf', body => ({ body })),
      'one byte too large, JSON': tooLarge('json', body => ({ body })),
      'one byte too large, chunked': tooLarge('protobuf', body => ({
        body,
        headers: { 'transfer-encoding': 'chunked' },
      })),
      'small by gzip, one byte too large inflated': tooLarge('protobuf', body => ({
        body: gzipSync(body),
        headers: { 'content-encoding': 'gzip' },
      })),
      'the same, JSON': tooLarge('json', body => ({
        body: gzipSync(body),
        headers: { 'content-encoding': 'gzip' },
      })),
      'a thousandfold by gzip': tooLarge('protobuf', () => ({
        body: gzipSync(Buffer.alloc(100 * smallBytes)),
        headers: { 'content-encoding': 'gzip' },
      })),
      'a millionfold by gzip in gzip': tooLarge('protobuf', () => ({
        body: gzipSync(gzipSync(Buffer.alloc(100 * smallBytes))),
        headers: { 'content-encoding': 'gzip, gzip' },
      })),
      'too large only by its many members': tooLarge('protobuf', body => ({
        body: Buffer.concat([
          gzipSync(body.subarray(0, smallBytes / 2)),
          gzipSync(body.subarray(smallBytes / 2)),
        ]),
        headers: { 'content-encoding': 'gzip' },
      })),
      'exactly the limit is taken': async ({ small, sink }) => {
        for (const encoding of ['protobuf', 'json'] as const) {
          const marker = newMarker()
          assertSuccess(
            await post[encoding](small, traces, requestOfSize(smallBytes, encoding, marker)),
            encoding,
          )
          await sink.find(marker)
        }
      },
      'exactly the limit is taken, inflated': async ({ small, sink }) => {
        const marker = newMarker()
        const body = gzipSync(requestOfSize(smallBytes, 'protobuf', marker))
        assertSuccess(await postProtobuf(small, traces, body, { 'content-encoding': 'gzip' }))
        await sink.find(marker)
      },
      'others are served on the connection afterwards': async world => {
        for (let round = 0; round < 3; round++) {
          assertFailure(await postProtobuf(world.small, traces, Buffer.alloc(smallBytes + 1)), 413)
          assertSuccess(await postProtobuf(world.small, traces, protobufRequest(traces, newMarker())))
        }
      },
    },
  },
  {
    id: 'http-limit-64-mib',
    level: 'SHOULD',
    says: 'The limit is 64 MiB where nothing else is set.',
    checks: {
      '64 MiB are taken': async ({ main }) =>
        assertSuccess(await postProtobuf(main, traces, field(1999, Buffer.alloc(64 * 1024 * 1024 - 7)))),
      'one more byte is not': async ({ main }) =>
        void assertFailure(await postProtobuf(main, traces, Buffer.alloc(64 * 1024 * 1024 + 1)), 413),
    },
  },
  {
    id: 'http-limit-configurable',
    level: 'SHOULD',
    says: 'The limit can be configured.',
    checks: {
      max_request_body_size: async ({ main, small }) => {
        const body = field(1999, Buffer.alloc(2 * smallBytes))
        assertSuccess(await postProtobuf(main, traces, body))
        assertFailure(await postProtobuf(small, traces, body), 413)
      },
    },
  },
]

const responseSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http-content-type-answered',
    level: 'MUST',
    says: 'The answer has the Content-Type of the request, whatever the answer is.',
    checks: {
      'application/x-protobuf with parameters': async ({ main }) =>
        assertSuccess(
          await postProtobuf(main, traces, protobufRequest(traces, newMarker()), {
            'content-type': 'application/x-protobuf; messageType="x.Y"',
          }),
        ),
      'application/json with a charset': async ({ main }) =>
        assertSuccess(
          await postJson(main, traces, jsonRequest(traces, newMarker()), {
            'content-type': 'application/json;charset=utf-8',
          }),
          'json',
        ),
      'Application/JSON in another case': async ({ main }) =>
        assertSuccess(
          await postJson(main, traces, jsonRequest(traces, newMarker()), {
            'content-type': 'Application/JSON',
          }),
          'json',
        ),
      'APPLICATION/X-PROTOBUF in another case': async ({ main }) =>
        assertSuccess(
          await postProtobuf(main, traces, protobufRequest(traces, newMarker()), {
            'content-type': 'APPLICATION/X-PROTOBUF ; a=b',
          }),
        ),
      'an Accept of the other one changes nothing': async ({ main }) => {
        assertSuccess(
          await postProtobuf(main, traces, protobufRequest(traces, newMarker()), { accept: jsonType }),
        )
        assertSuccess(
          await postJson(main, traces, jsonRequest(traces, newMarker()), { accept: protobufType }),
          'json',
        )
      },
    },
  },
  {
    id: 'http-response-size',
    level: 'MUST',
    says: 'The answer stays small, however long what it complains about.',
    checks: {
      'a long path': async ({ main }) => {
        const reply = await send(main.http, {
          path: `/${'x'.repeat(10_000)}`,
          headers: { 'content-type': protobufType },
        })
        assertFailure(reply, 404)
        assert.ok(reply.body.length < 4096, `${reply.body.length} bytes`)
      },
      'ten thousand broken spans': async ({ main }) => {
        const span = (index: number) => JSON.stringify({ ...jsonSpan('x'), traceId: index.toString(16) })
        const spans = Array.from({ length: 10_000 }, (_, index) => span(index))
        const reply = await postJson(main, traces, traceJson(`{${spanText(newMarker())}}`, ...spans))
        assert.equal(reply.status, 200)
        assert.ok(reply.body.length < 4096, `${reply.body.length} bytes`)
      },
      'a value without end': async ({ main }) => {
        const body = traceJson(`{${spanText('x')},"kind":"${'y'.repeat(1_000_000)}"}`)
        const reply = await postJson(main, traces, body)
        assertFailure(reply, 400, 'json')
        assert.ok(reply.body.length < 4096, `${reply.body.length} bytes`)
      },
    },
  },
  {
    id: 'http-response-coding',
    level: 'MAY',
    says: 'The answer is compressed only for those who ask for it.',
    checks: {
      'no Accept-Encoding, no Content-Encoding': async ({ main }) => {
        const reply = await postProtobuf(main, traces, gzipSync(protobufRequest(traces, newMarker())), {
          'content-encoding': 'gzip',
        })
        assertSuccess(reply)
        assert.equal(reply.headers['content-encoding'], undefined)
      },
    },
  },
  {
    id: 'http-one-port',
    level: 'SHOULD',
    says: 'Protobuf and JSON are taken on one port, told apart by Content-Type.',
    checks: {
      'in turn on one connection': async ({ main }) => {
        for (let round = 0; round < 3; round++) {
          assertSuccess(await postProtobuf(main, traces, protobufRequest(traces, newMarker())))
          assertSuccess(await postJson(main, traces, jsonRequest(traces, newMarker())), 'json')
        }
      },
    },
  },
]

const successSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http-success-200',
    level: 'MUST',
    says: 'Success is 200 with the response message of the signal, partial_success unset: nothing, or {}.',
    checks: Object.fromEntries(
      signals.flatMap(signal =>
        (['protobuf', 'json'] as const).map(encoding => [
          `${signal.name}, ${encoding}`,
          async ({ main }: ServerWorld) =>
            assertSuccess(
              await post[encoding](main, signal, bodyOf(signal, encoding, newMarker())),
              encoding,
            ),
        ]),
      ),
    ),
  },
  {
    id: 'http-empty-request',
    level: 'SHOULD',
    says: 'A request that carries no telemetry is a success.',
    checks: {
      ...forSignals(
        ({ name }) => `${name}: no byte of protobuf`,
        signal =>
          async ({ main }) =>
            assertSuccess(await postProtobuf(main, signal, '')),
      ),
      ...forSignals(
        ({ name }) => `${name}: {}`,
        signal =>
          async ({ main }) =>
            assertSuccess(await postJson(main, signal, '{}'), 'json'),
      ),
      ...forSignals(
        ({ name }) => `${name}: an empty list`,
        signal =>
          async ({ main }) =>
            assertSuccess(await postJson(main, signal, `{"${signal.resources}":[]}`), 'json'),
      ),
      'gzip of nothing': async ({ main }) =>
        assertSuccess(await postProtobuf(main, traces, gzipSync(''), { 'content-encoding': 'gzip' })),
    },
  },
  {
    id: 'http-empty-envelopes',
    level: 'MAY',
    says: 'Envelopes without items are taken, and not handed on.',
    checks: forSignals(
      ({ name }) => `${name}: resource and scope alone`,
      signal => async world => {
        const marker = newMarker()
        const scope = { scope: { name: marker } }
        const body = JSON.stringify({ [signal.resources]: [{ [signal.scopes]: [scope] }, {}] })
        assertSuccess(await postJson(world.main, signal, body), 'json')
        await assertNotDelivered(world, marker)
      },
    ),
  },
]

interface PartialSuccess {
  readonly partialSuccess?: Readonly<Record<string, string>>
}

/** Sends JSON with a good and broken items; the answer counts the broken ones, the good ones arrive. */
const partly =
  (signal: SignalInfo, text: (marker: string) => string, rejected: number): Check =>
  async world => {
    const marker = newMarker()
    const reply = await postJson(world.main, signal, text(marker))
    assert.equal(reply.status, 200, reply.body.toString())
    assert.equal(reply.headers['content-type'], jsonType)
    const { partialSuccess } = JSON.parse(reply.body.toString()) as PartialSuccess
    assert.equal(partialSuccess?.[signal.rejected], String(rejected))
    assert.match(partialSuccess['errorMessage'] ?? '', /\w+ \w+/)
    const body = JSON.stringify(await delivered(world, signal, marker))
    assert.ok(!body.includes('broken'), body)
  }

/** The same by protobuf, for spans that are broken as bytes. */
const partlyBinary =
  (broken: readonly Uint8Array[]): Check =>
  async world => {
    const marker = newMarker()
    const good = join(
      field(1, Buffer.from(idsOf(1).traceId, 'hex')),
      field(2, Buffer.from(idsOf(1).spanId, 'hex')),
      field(5, marker),
    )
    const spans = [...broken, good].map(span => field(2, span))
    const reply = await postProtobuf(world.main, traces, field(1, field(2, ...spans)))
    assert.equal(reply.status, 200, reply.body.toString('latin1'))
    const { partialSuccess } = decodeWith('ExportTraceServiceResponse', reply.body) as PartialSuccess
    assert.equal(partialSuccess?.['rejectedSpans'], String(broken.length))
    assert.match(partialSuccess['errorMessage'] ?? '', /\w+ \w+/)
    const text = JSON.stringify(await delivered(world, traces, marker))
    assert.ok(!text.includes('broken'), text)
  }

const ids = { trace: Buffer.alloc(16, 7), span: Buffer.alloc(8, 7) }

const partialSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http-partial-success',
    level: 'MUST',
    says: 'Where only some items can be taken the answer is 200 with their number in partial_success; the others are delivered.',
    checks: {
      'spans with ids of another length': partly(
        traces,
        marker =>
          traceJson(
            `{${spanText(marker)}}`,
            `{${spanText('broken')},"traceId":"0102"}`,
            `{${spanText('broken')},"spanId":"010203"}`,
            `{${spanText('broken')},"parentSpanId":"01"}`,
          ),
        3,
      ),
      'spans with ids of zeros': partly(
        traces,
        marker =>
          traceJson(
            `{${spanText('broken')},"traceId":"${'0'.repeat(32)}"}`,
            `{${spanText('broken')},"spanId":"${'0'.repeat(16)}"}`,
            `{${spanText(marker)}}`,
          ),
        2,
      ),
      'spans without ids': partly(
        traces,
        marker =>
          traceJson(
            '{"name":"broken"}',
            `{${spanText(marker)}}`,
            '{"name":"broken","traceId":"","spanId":""}',
          ),
        2,
      ),
      'spans with ids that are no hex': partly(
        traces,
        marker =>
          traceJson(`{${spanText('broken')},"traceId":"AAECAwQFBgcICQoLDA0ODw=="}`, `{${spanText(marker)}}`),
        1,
      ),
      'log records with a value of another type': partly(
        logs,
        marker =>
          `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"${marker}"}},{"severityText":"broken","timeUnixNano":{}}]}]}]}`,
        1,
      ),
      'data points with a value of another type': partly(
        metrics,
        marker =>
          `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"${marker}","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"broken"},{"asDouble":true}]}}]}]}]}`,
        2,
      ),
      'spans with ids of another length, protobuf': partlyBinary([
        join(field(1, ids.trace.subarray(1)), field(2, ids.span), field(5, 'broken')),
        join(field(1, ids.trace), field(2, ids.span, 'x'), field(5, 'broken')),
        join(field(1, ids.trace), field(2, ids.span), field(4, 'x'), field(5, 'broken')),
      ]),
      'spans without ids, or of zeros, protobuf': partlyBinary([
        field(5, 'broken'),
        join(field(1, Buffer.alloc(16)), field(2, ids.span), field(5, 'broken')),
        join(field(1, ids.trace), field(2, Buffer.alloc(8)), field(5, 'broken')),
      ]),
      'spans that are broken inside, protobuf': partlyBinary([
        join(
          field(1, ids.trace),
          field(2, ids.span),
          field(5, 'broken'),
          field(9, Buffer.from([0x0a, 0x7f])),
        ),
        join(field(1, ids.trace), field(2, ids.span), field(5, 'broken'), Buffer.from([0x80])),
      ]),
    },
  },
  {
    id: 'http-partial-warning',
    level: 'MUST',
    says: 'A warning about what was taken whole has no rejected items, and a message.',
    checks: {
      'JSON that is no OTLP': async ({ main }) => {
        const reply = await postJson(main, traces, '{"spans":[{"name":"x"}]}')
        assert.equal(reply.status, 200)
        const { partialSuccess } = JSON.parse(reply.body.toString()) as PartialSuccess
        assert.ok([undefined, '0'].includes(partialSuccess?.['rejectedSpans']))
        assert.match(partialSuccess?.['errorMessage'] ?? '', /spans/)
      },
    },
  },
]

const bad =
  (signal: SignalInfo, encoding: Encoding, body: Uint8Array | string): Check =>
  async world => {
    const { details } = assertFailure(await post[encoding](world.main, signal, body), 400, encoding)
    const [detail] = details ?? []
    assert.ok(detail, 'details')
    const typeUrl = 'typeUrl' in detail ? detail.typeUrl : detail['@type']
    assert.equal(typeUrl, 'type.googleapis.com/google.rpc.BadRequest')
    if (encoding === 'protobuf') {
      const { fieldViolations } = decodeWith('BadRequest', Buffer.from(detail.value.slice(4), 'hex')) as {
        fieldViolations: { description: string }[]
      }
      assert.notEqual(fieldViolations[0]?.description ?? '', '')
    }
  }

const failureSentences: readonly Sentence<ServerWorld>[] = [
  {
    id: 'http-status-bodies',
    level: 'MUST',
    says: 'Every 4xx and 5xx has a Status as its body, in the encoding of the request, with a message.',
    checks: {
      ...Object.fromEntries(
        (['protobuf', 'json'] as const).flatMap(encoding => [
          [
            `400, ${encoding}`,
            async ({ main }: ServerWorld) =>
              void assertFailure(await post[encoding](main, traces, '\u0001\u0001'), 400, encoding),
          ],
          [
            `404, ${encoding}`,
            async ({ main }: ServerWorld) => {
              const reply = await send(main.http, {
                path: '/v1/nothing',
                headers: { 'content-type': typeOf(encoding) },
              })
              assertFailure(reply, 404, encoding)
            },
          ],
          [
            `405, ${encoding}`,
            async ({ main }: ServerWorld) => {
              const headers = { 'content-type': typeOf(encoding) }
              const reply = await send(main.http, { method: 'PUT', path: '/v1/traces', headers, body: 'x' })
              assertFailure(reply, 405, encoding)
            },
          ],
        ]),
      ),
      '415 for another type': async ({ main }) => {
        const reply = await send(main.http, {
          path: '/v1/traces',
          headers: { 'content-type': 'text/plain' },
          body: 'x',
        })
        assertFailure(reply, 415, 'json')
      },
      '415 without a type': async ({ main }) => {
        const reply = await send(main.http, { path: '/v1/traces', body: 'x' })
        assertFailure(reply, 415, 'json')
      },
      '415 for types that only resemble': async ({ main }) => {
        for (const type of [
          'application/protobuf',
          'application/json5',
          'application/x-protobuf2',
          'text/json',
          '',
        ]) {
          const headers = { 'content-type': type }
          assertFailure(await send(main.http, { path: '/v1/traces', headers, body: '{}' }), 415, 'json')
        }
      },
      '404 for a signal that no pipeline takes': async ({ few }) =>
        void assertFailure(await postProtobuf(few, metrics, ''), 404),
    },
  },
  {
    id: 'http-bad-data-400',
    level: 'MUST',
    says: 'Data that cannot be decoded, for good, is 400 with a BadRequest among the details.',
    checks: {
      ...forSignals(
        ({ name }) => `${name}: protobuf that is cut off`,
        signal => bad(signal, 'protobuf', protobufRequest(signal, 'cut off').subarray(0, -3)),
      ),
      ...forSignals(
        ({ name }) => `${name}: JSON that is cut off`,
        signal => bad(signal, 'json', jsonRequest(signal, 'cut off').slice(0, -3)),
      ),
      'JSON sent as protobuf': bad(traces, 'protobuf', jsonRequest(traces, 'other')),
      'protobuf sent as JSON': bad(traces, 'json', protobufRequest(traces, 'other')),
      'JSON of no bytes': bad(traces, 'json', ''),
      'nothing left but broken spans': bad(traces, 'json', traceJson('{"name":"no ids"}')),
    },
  },
  {
    id: 'http-overload',
    level: 'SHOULD',
    says: 'A server that cannot take more answers 429 or 503, with a Retry-After.',
    checks: isFull,
  },
  {
    id: 'http-concurrent',
    level: 'MAY',
    says: 'Many connections are served at once.',
    checks: {
      'sixty requests on connections of their own': async ({ main }) => {
        const bodies = Array.from({ length: 60 }, () => protobufRequest(traces, newMarker()))
        const replies = await Promise.all(
          bodies.map(body =>
            fetch(`http://${main.http}/v1/traces`, {
              method: 'POST',
              headers: { 'content-type': protobufType },
              body: Buffer.from(body),
            }),
          ),
        )
        assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]))
        await Promise.all(replies.map(reply => reply.arrayBuffer()))
      },
    },
  },
]

export const httpChapters: readonly Chapter<ServerWorld>[] = [
  { source: 'OTLP 1.11, "OTLP/HTTP Request"', sentences: requestSentences },
  { source: 'OTLP 1.11, "OTLP/HTTP Response"', sentences: responseSentences },
  { source: 'OTLP 1.11, "OTLP/HTTP Response", "Full Success"', sentences: successSentences },
  { source: 'OTLP 1.11, "OTLP/HTTP Response", "Partial Success"', sentences: partialSentences },
  { source: 'OTLP 1.11, "OTLP/HTTP Response", "Failures"', sentences: failureSentences },
]
