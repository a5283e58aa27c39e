import fc from 'fast-check'
import t from 'tap'
import { keysOfFields } from '../../../formats/propagation/keys.ts'
import { spanIdsOf, traceIdOf } from '../../../formats/skywalking/ids.ts'
import { names } from '../../../model/attribute-names.ts'
import type { Span } from '../../../model/span.ts'
import { associate, startAssociation } from '../../helpers/association.ts'
import { appSpan, batchOf, exchange, type Piece, sight, treeOf } from '../../helpers/stack.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const caller = '00f067aa0ba902b7'
const http = { 'network.protocol.name': 'http', 'http.request.method': 'GET' }

const headersOf = (fields: Record<string, string>) => ({ ...http, ...keysOfFields(name => fields[name]) })
const named = (spans: readonly Span[], name: string) => spans.find(span => span.name === name)

/** A client's span, the exchange that its header went through, and the server's span, under the given ids. */
function call(headers: Record<string, string>, serverTrace = trace): Piece[] {
  return [
    appSpan({ service: 'a', trace, id: caller, side: 'client', from: 0, to: 1000 }),
    ...exchange({
      seq: 1,
      from: 10,
      to: 990,
      client: { pid: 1 },
      server: { pid: 2 },
      path: ['c', 's'],
      attributes: headersOf(headers),
    }),
    appSpan({
      service: 'b',
      trace: serverTrace,
      id: '2'.repeat(16),
      parent: caller,
      side: 'server',
      from: 100,
      to: 900,
    }),
  ]
}

const low = trace.slice(16)
const everyHeader: Record<string, Record<string, string>> = {
  traceparent: { traceparent: `00-${trace}-${caller}-01` },
  b3: { b3: `${trace}-${caller}-1` },
  'b3 of 64 bits': { 'x-b3-traceid': low, 'x-b3-spanid': caller, 'x-b3-sampled': '1' },
  'uber-trace-id': { 'uber-trace-id': `${trace}%3A${caller.slice(2)}%3A0%3A1` },
  datadog: {
    'x-datadog-trace-id': BigInt(`0x${low}`).toString(),
    'x-datadog-parent-id': BigInt(`0x${caller}`).toString(),
    'x-datadog-sampling-priority': '1',
  },
  xray: { 'x-amzn-trace-id': `Root=1-${trace.slice(0, 8)}-${trace.slice(8)};Parent=${caller};Sampled=1` },
}

for (const [name, headers] of Object.entries(everyHeader)) {
  t.test(`${name} puts the exchange between the span that wrote it and the one that names it`, async t => {
    const spans = await associate(call(headers))
    t.strictSame(treeOf(spans), {
      'a client': '',
      'c-p 1': 'a client',
      'c if-c': 'c-p 1',
      's if-s': 'c if-c',
      's-p 2': 's if-s',
      'b server': 's-p 2',
    })
    t.equal(new Set(spans.map(span => span.traceId)).size, 1)
    t.equal(named(spans, 'c-p 1')?.attribute(names.linkConfidence), 1)
    t.match(named(spans, 'c-p 1')?.text(names.linkEvidence), caller)
  })
}

t.test('spans that know only half of the trace id keep it, and point to the trace by a link', async t => {
  const spans = await associate(call(everyHeader['b3 of 64 bits']!, `${'0'.repeat(16)}${low}`))
  const server = named(spans, 'b server')
  t.equal(server?.traceId, `${'0'.repeat(16)}${low}`, "OpenTelemetry's ids are not rewritten")
  t.equal(named(spans, 's-p 2')?.traceId, trace)
  t.match(server?.links, [{ traceId: trace, spanId: named(spans, 's-p 2')?.spanId }])
  const unified = await associate(call(everyHeader['b3 of 64 bits']!, `${'0'.repeat(16)}${low}`), {
    trace_ids: 'unify',
  })
  t.equal(named(unified, 'b server')?.parentSpanId, named(unified, 's-p 2')?.spanId)
  t.equal(named(unified, 'b server')?.text(names.originalTraceId), `${'0'.repeat(16)}${low}`)
})

t.test('what was written for a request counts before what was passed on with it', async t => {
  const passedOn = { traceparent: `00-${trace}-${caller}-01` }
  const sidecar = '5'.repeat(16)
  const spans = await associate([
    appSpan({ service: 'a', trace, id: caller, side: 'client', from: 0, to: 1000 }),
    ...exchange({
      seq: 1,
      from: 10,
      to: 990,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: headersOf(passedOn),
    }),
    appSpan({ service: 'sidecar', trace, id: sidecar, side: 'client', from: 200, to: 800 }),
    ...exchange({
      seq: 2,
      from: 210,
      to: 790,
      client: { pid: 2 },
      server: { pid: 3 },
      path: [],
      attributes: headersOf({ ...passedOn, b3: `${trace}-${sidecar}-1` }),
    }),
  ])
  t.match(treeOf(spans), {
    'c-p 1': 'a client',
    's-p 2': 'c-p 1',
    'c-p 2': 'sidecar client',
    's-p 3': 'c-p 2',
  })
})

t.test('a query whose comment names the span hangs below it', async t => {
  const spans = await associate([
    appSpan({ service: 'a', trace, id: caller, side: 'internal', from: 0, to: 1000 }),
    ...exchange({
      seq: 1,
      from: 10,
      to: 990,
      client: { pid: 1 },
      path: [],
      attributes: { 'network.protocol.name': 'mysql', [names.keyTraceparent]: `00-${trace}-${caller}-01` },
    }),
  ])
  t.match(treeOf(spans), { 'c-p 1': 'a internal' })
})

t.test('every way to say that a trace is not kept is heard', async t => {
  const unsampled: Record<string, string>[] = [
    { traceparent: `00-${trace}-${caller}-00` },
    { b3: `${trace}-${caller}-0` },
    { 'x-b3-traceid': trace, 'x-b3-spanid': caller, 'x-b3-sampled': '0' },
    { 'uber-trace-id': `${trace}:${caller}:0:0` },
    { 'x-datadog-trace-id': '1', 'x-datadog-parent-id': '2', 'x-datadog-sampling-priority': '0' },
    { 'x-datadog-trace-id': '1', 'x-datadog-parent-id': '2', 'x-datadog-sampling-priority': '-1' },
    { 'x-amzn-trace-id': `Root=1-${trace.slice(0, 8)}-${trace.slice(8)};Parent=${caller};Sampled=0` },
    { sw8: `0-${btoa('trace.1')}-${btoa('segment.1')}-0-YQ==-YQ==-YQ==-YQ==` },
  ]
  const open: Record<string, string>[] = [
    { b3: `${trace}-${caller}` },
    { 'x-datadog-trace-id': '1', 'x-datadog-parent-id': '2' },
    { 'x-amzn-trace-id': `Root=1-${trace.slice(0, 8)}-${trace.slice(8)};Parent=${caller};Sampled=?` },
    { traceparent: `00-${trace}-${caller}-00`, b3: `${trace}-${caller}-d` },
  ]
  const leaving = async (headers: Record<string, string>) => {
    const run = await startAssociation()
    run.input$.next(
      batchOf(
        exchange({ seq: 1, from: 0, to: 100, client: { pid: 1 }, path: [], attributes: headersOf(headers) }),
      ),
    )
    run.clock.advance(30_000)
    return { left: run.spans().length, dropped: run.dropped }
  }
  for (const headers of unsampled) {
    t.strictSame(await leaving(headers), { left: 0, dropped: ['1 unsampled'] }, JSON.stringify(headers))
  }
  for (const headers of open)
    t.strictSame(await leaving(headers), { left: 1, dropped: [] }, JSON.stringify(headers))
})

t.test(
  'a parent that nobody saw counts if it was sampled; the id of its trace is final in any case',
  async t => {
    const only = async (flags: string) => {
      const attributes = headersOf({ traceparent: `00-${trace}-${caller}-${flags}` })
      const pieces = exchange({ seq: 1, from: 0, to: 100, client: { pid: 1 }, path: ['c'], attributes })
      return associate(pieces, { unsampled: 'keep' })
    }
    const sampled = named(await only('01'), 'c-p 1')
    t.equal(sampled?.parentSpanId, caller)
    t.equal(sampled?.traceId, trace)
    const unsampled = await only('00')
    t.equal(named(unsampled, 'c-p 1')?.parentSpanId, '')
    t.ok(unsampled.every(span => span.traceId === trace))
  },
)

t.test('a span that comes after its exchange left joins it, whichever header joined them', async t => {
  for (const [name, headers] of Object.entries(everyHeader)) {
    const [client, ...rest] = call(headers)
    const late = rest.pop()
    const run = await startAssociation()
    for (const piece of [client!, ...rest]) run.input$.next(batchOf([piece]))
    run.clock.advance(30_000)
    run.input$.next(batchOf([late!]))
    run.clock.advance(30_000)
    const spans = run.spans()
    t.equal(named(spans, 'b server')?.parentSpanId, named(spans, 's-p 2')?.spanId, name)
  }
})

t.test('OpenTelemetry and SkyWalking in one chain become one trace, whoever begins it', async t => {
  const sw = (id: string, span: number, parent: number) => ({
    'sw8.trace_id': 'native-1',
    'sw8.segment_id': id,
    'sw8.span_id': span,
    'sw8.parent_span_id': parent,
  })
  const made = traceIdOf('native-1')
  const skywalking = (service: string, segment: string, span: number, from: number) =>
    appSpan({
      service,
      trace: made,
      id: spanIdsOf(segment)(span),
      side: span === 0 ? 'server' : 'client',
      ...(span === 0 ? {} : { parent: spanIdsOf(segment)(0) }),
      from,
      to: 10_000 - from,
      attributes: {
        ...sw(segment, span, span - 1),
        'http.method': 'GET',
        'network.peer.address': '10.0.0.9',
        'network.peer.port': 41_000,
      },
    })
  const sw8 = { sw8: `1-${btoa('native-1')}-${btoa('seg-1')}-1-YQ==-YQ==-YQ==-YQ==` }
  const peer = { 'network.peer.address': '10.0.0.9', 'network.peer.port': 42_000 }
  const spans = await associate([
    ...exchange({
      seq: 1,
      from: 100,
      to: 9900,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: { ...http, 'network.peer.address': '10.0.0.9', 'network.peer.port': 41_000 },
    }),
    skywalking('first', 'seg-1', 0, 200),
    skywalking('first', 'seg-1', 1, 400),
    ...exchange({
      seq: 2,
      from: 500,
      to: 9000,
      client: { pid: 2 },
      server: { pid: 3 },
      path: [],
      attributes: { ...headersOf(sw8), ...peer },
    }),
    appSpan({
      service: 'second',
      trace,
      id: '2'.repeat(16),
      side: 'server',
      from: 600,
      to: 8900,
      attributes: { 'http.request.method': 'GET', ...peer },
    }),
  ])
  t.match(treeOf(spans), {
    'c-p 1': '',
    'first server': 's-p 2',
    'first client': 'first server',
    'c-p 2': 'first client',
    'second server': 's-p 3',
  })
  t.strictSame([...new Set(spans.map(span => span.traceId))], [trace], 'the made id yields')
  t.equal(named(spans, 'first server')?.text(names.originalTraceId), made)
  t.equal(named(spans, 'first server')?.text('sw8.trace_id'), 'native-1')
})

const requestId = (request: string, response = '') => ({
  ...http,
  ...(request === '' ? {} : { [names.keyRequestId]: request }),
  ...(response === '' ? {} : { [names.keyResponseRequestId]: response }),
})

/** client 1 → proxy 2 → server 3, with what each exchange carries. */
function proxied(outer: object, inner: object): Piece[] {
  return [
    ...exchange({
      seq: 1,
      from: 0,
      to: 900,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: { ...http, ...outer },
    }),
    ...exchange({
      seq: 2,
      from: 200,
      to: 800,
      client: { pid: 2 },
      server: { pid: 3 },
      path: [],
      attributes: { ...http, ...inner },
    }),
  ]
}

t.test('X-Request-ID joins in all the ways in which proxies use it', async t => {
  const ways: Record<string, [object, object]> = {
    '0→0, passed on': [requestId('r'), requestId('r')],
    '0→0, and echoed': [requestId('r', 'r'), requestId('r', 'r')],
    '1→1, handed back': [requestId('', 'r'), requestId('', 'r')],
    '0↔1, set by the proxy': [requestId('', 'r'), requestId('r')],
    '0↔1, set by the proxy in place of the client’s': [requestId('client', 'r'), requestId('r', 'r')],
  }
  for (const [way, [outer, inner]] of Object.entries(ways)) {
    const spans = await associate(proxied(outer, inner))
    t.match(treeOf(spans), { 'c-p 2': 's-p 2' }, way)
    t.match(named(spans, 'c-p 2')?.text(names.linkEvidence), 'X-Request-ID r', way)
  }
  const apart = await associate(proxied(requestId('r', 'q'), requestId('other')))
  t.not(named(apart, 'c-p 2')?.text(names.linkRule), 'request_id')
})

t.test('a fixed id is demoted, and stays so when only two of its exchanges are left', async t => {
  const run = await startAssociation()
  const outerOnly = (seq: number, from: number) =>
    exchange({
      seq,
      from,
      to: from + 100,
      client: { pid: 1 },
      server: { pid: 2, thread: 21 },
      path: [],
      attributes: requestId('probe'),
    })
  for (const piece of [...outerOnly(1, 0), ...outerOnly(2, 50), ...outerOnly(3, 300)])
    run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  const late = [
    sight({
      point: 's-p',
      seq: 10,
      from: 1000,
      to: 2000,
      pid: 7,
      thread: 71,
      attributes: requestId('probe'),
    }),
    sight({ point: 's-p', seq: 11, from: 1000, to: 2000, pid: 7, thread: 72 }),
    sight({
      point: 'c-p',
      seq: 12,
      from: 1200,
      to: 1500,
      pid: 7,
      thread: 73,
      attributes: requestId('probe'),
    }),
  ]
  for (const piece of late) run.input$.next(batchOf([piece]))
  run.clock.advance(30_000)
  t.ok(run.spans().every(span => span.text(names.linkRule) !== 'request_id'))
})

t.test('requests at once with one fixed header are not taken for each other’s causes', async t => {
  const fixed = headersOf({ traceparent: `00-${trace}-${caller}-01` })
  const endpoints = { 'client.address': '10.0.0.1', 'server.address': '10.0.0.2', 'server.port': 80 }
  const processes = await associate([
    ...exchange({
      seq: 1,
      from: 0,
      to: 1000,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: fixed,
    }),
    ...exchange({
      seq: 2,
      from: 200,
      to: 800,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: fixed,
    }),
  ])
  t.ok(processes.every(span => span.text(names.linkRule) !== 'header'))
  const wires = await associate([
    sight({
      point: 'rest',
      seq: 1,
      from: 0,
      to: 1000,
      interface: 'a',
      attributes: { ...fixed, ...endpoints },
    }),
    sight({
      point: 'rest',
      seq: 2,
      from: 200,
      to: 800,
      interface: 'b',
      attributes: { ...fixed, ...endpoints },
    }),
  ])
  t.ok(
    wires.every(span => span.parentSpanId === ''),
    'between the same ends',
  )
})

t.test('tries of one call are no fixed header: each stays below the span that made them', async t => {
  const header = headersOf({ traceparent: `00-${trace}-${caller}-01` })
  const attempt = (seq: number, from: number, failure: object) =>
    exchange({
      seq,
      from,
      to: from + 100,
      client: { pid: 1 },
      server: { pid: 2 },
      path: [],
      attributes: { ...header, ...failure },
    })
  const failed = { 'error.type': '503' }
  const tries = [
    ...attempt(1, 0, failed),
    ...attempt(2, 200, { [names.incomplete]: 'no_response' }),
    ...attempt(3, 400, {}),
  ]
  const clients = (spans: readonly Span[]) => spans.filter(span => span.name === 'c-p 1')
  t.strictSame(
    clients(await associate(tries)).map(span => span.parentSpanId),
    [caller, caller, caller],
    'unseen',
  )
  const writer = appSpan({ service: 'a', trace, id: caller, side: 'client', from: 0, to: 510 })
  t.ok(
    clients(await associate([...tries, writer])).every(span => span.parentSpanId === caller),
    'seen',
  )
  const health = [...attempt(1, 0, {}), ...attempt(2, 200, {}), ...attempt(3, 400, {})]
  t.ok(
    clients(await associate(health)).every(span => span.parentSpanId === ''),
    'they went well',
  )
})

t.test('what a broker pushes hangs below the exchange that brought it, for each consumer', async t => {
  const message = `traceparent 00-${trace}-${caller}-01`
  const moved = (type: string) => ({
    'messaging.system': 'nats',
    [names.messagingOperationType]: type,
    [names.keyMessageContexts]: [message],
  })
  const push = (seq: number, pid: number) => [
    sight({ point: 'c-p', seq, from: 500, to: 510, pid: 9, attributes: moved('process') }),
    sight({
      point: 's-p',
      seq,
      from: 501,
      to: 509,
      pid,
      resource: { 'process.pid': pid },
      attributes: moved('process'),
    }),
  ]
  const consumer = (service: string, pid: number) =>
    appSpan({
      service,
      trace,
      parent: caller,
      side: 'consumer',
      from: 500,
      to: 900,
      resource: { 'process.pid': pid, 'host.id': 'host-1' },
    })
  const spans = await associate([
    appSpan({ service: 'shop', trace, id: caller, side: 'producer', from: 0, to: 100 }),
    ...exchange({
      seq: 1,
      from: 10,
      to: 40,
      client: { pid: 1 },
      server: { pid: 9 },
      path: [],
      attributes: moved('send'),
    }),
    ...push(2, 3),
    ...push(3, 4),
    consumer('mail', 3),
    consumer('stock', 4),
  ])
  const parentOf = (name: string) => spans.find(({ spanId }) => spanId === named(spans, name)?.parentSpanId)
  t.equal(parentOf('c-p 1')?.name, 'shop producer')
  t.equal(parentOf('s-p 9')?.name, 'c-p 1')
  for (const span of spans.filter(({ name }) => name === 'c-p 9')) {
    t.equal(span.text(names.linkRule), 'message')
    t.equal(span.parentSpanId, named(spans, 's-p 9')?.spanId)
  }
  t.equal(parentOf('mail consumer')?.name, 's-p 3')
  t.equal(parentOf('stock consumer')?.name, 's-p 4')
})

t.test('what a consumer fetches points to its senders and keeps its own parent', async t => {
  const contexts = [
    `traceparent 00-${trace}-${caller}-01`,
    `b3 ${trace}-${'7'.repeat(16)}-1`,
    'sw8 native/segment/2',
    'garbage',
  ]
  const fetched = {
    'messaging.system': 'kafka',
    [names.messagingOperationType]: 'receive',
    [names.keyMessageContexts]: contexts,
  }
  const pieces = exchange({
    seq: 1,
    from: 0,
    to: 100,
    client: { pid: 3 },
    server: { pid: 9 },
    path: [],
    attributes: fetched,
  })
  const expected = [
    { traceId: trace, spanId: caller },
    { traceId: trace, spanId: '7'.repeat(16) },
    { traceId: traceIdOf('native'), spanId: spanIdsOf('segment')(2) },
  ]
  const once = await associate(pieces)
  t.match(named(once, 'c-p 3')?.links, expected)
  t.equal(named(once, 'c-p 3')?.links.length, 3)
  t.equal(named(once, 's-p 9')?.links.length, 0)
  t.equal(named(once, 'c-p 3')?.parentSpanId, '')
  const twice = await associate(once.map(span => ({ ...pieces[0]!, span })))
  t.equal(named(twice, 'c-p 3')?.links.length, 3, 'associated twice')
})

t.test('a fetched message’s consumer hangs below the exchange that brought it to the broker', async t => {
  const sent = {
    [names.messagingOperationType]: 'send',
    [names.keyMessageContexts]: [`traceparent 00-${trace}-${caller}-01`],
  }
  const spans = await associate([
    appSpan({ service: 'shop', trace, id: caller, side: 'producer', from: 0, to: 100 }),
    ...exchange({
      seq: 1,
      from: 10,
      to: 40,
      client: { pid: 1 },
      server: { pid: 9 },
      path: [],
      attributes: sent,
    }),
    appSpan({ service: 'mail', trace, parent: caller, side: 'consumer', from: 5000, to: 9000 }),
  ])
  t.match(treeOf(spans), { 'c-p 1': 'shop producer', 's-p 9': 'c-p 1', 'mail consumer': 's-p 9' })
})

t.test('any order of arrival gives the same trees, with all kinds of headers at once', async t => {
  const pieces = [
    ...call(everyHeader['datadog']!),
    ...proxied(requestId('client', 'r'), requestId('r', 'r')).map(({ span, ...rest }) => ({
      ...rest,
      span: span.with({ name: `proxy ${span.name}` }),
    })),
    ...exchange({
      seq: 20,
      from: 0,
      to: 100,
      client: { pid: 31 },
      server: { pid: 32 },
      path: ['c'],
      attributes: headersOf(everyHeader['xray']!),
    }),
  ]
  const edges = (spans: readonly Span[]) =>
    spans.map(span => `${span.spanId} < ${span.parentSpanId} ${span.traceId}`).sort()
  const expected = edges(await associate(pieces))
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(pieces, { minLength: pieces.length }), async shuffled => {
      t.strictSame(edges(await associate(shuffled)), expected)
    }),
    { numRuns: 20 },
  )
})
