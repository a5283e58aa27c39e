import { names } from '../../model/attribute-names.ts'
import { createScope, type Envelope } from '../../model/resource.ts'
import { Span, spanKind, type SpanKind } from '../../model/span.ts'
import { createRandom } from './random.ts'
import {
  addressOf,
  agentResource,
  bootOf,
  clientSpanFacts,
  type Facts,
  hostResource,
  interfaceFacts,
  portOf,
  processFacts,
  processResource,
  protocolFacts,
  serverSpanFacts,
  type Service,
} from './service-facts.ts'
import { at, type Piece } from './stack.ts'

/** A visit of a service and the calls that it makes, in turn or all at once. */
export interface Visit {
  readonly service: Service
  readonly calls: readonly Visit[]
  readonly isParallel?: boolean
}

export interface TraceOptions {
  readonly seed: number
  /** Numbers the trace: ports, threads and sequence numbers are made of it. */
  readonly number: number
  /** Who calls the first service: a process without an agent. */
  readonly client: Service
  readonly visit: Visit
  /** When the client sends, in the microseconds of `at`, by the true clock. */
  readonly startUs: number
  /** What each host's clock shows too much, in microseconds; 0 where none is named. */
  readonly skewUs?: Readonly<Record<string, number>>
  /** Servers see another address and port than the client has. */
  readonly isNat?: boolean
  /** Where the sequence numbers of its exchanges begin; else made of `number`. */
  readonly firstSeq?: number
}

/** A span whose true cause is known. */
export interface KnownSpan {
  readonly piece: Piece
  readonly host: string
  /** What caused it, before anything was lost; undefined for the root. */
  readonly parent: KnownSpan | undefined
  /** By what its parent is proven, provided that both are seen; undefined where it can only be judged. */
  readonly proof: Proof | undefined
}

/** The same exchange; a header that names the parent; the ephemeral port; the SDK's own word. */
export type Proof = 'path' | 'header' | 'port' | 'sdk'

/**
 * One full-stack trace: every exchange at both processes and four interfaces, and the spans of the agents. The same options,
 * the same spans. In the order in which requests were made.
 */
export function generateTrace(options: TraceOptions): KnownSpan[] {
  const { number, skewUs = {}, isNat = false, firstSeq = (number * 977) % 2 ** 31 } = options
  const random = createRandom(options.seed)
  const spans: MutableSpan[] = []
  const requestId = `req-${number}-${random.hex(8)}`
  let exchanges = 0
  call(
    { service: options.client, thread: options.client.pid, header: {} },
    {
      visit: options.visit,
      startUs: options.startUs,
      cause: { parent: undefined, proof: undefined },
    },
  )
  return spans

  /** The exchange by which `caller` visits a service; gives the time at which it has its answer. */
  function call(caller: Caller, { visit, startUs, cause }: Call): number {
    const { service } = visit
    const own = exchanges++
    const port = 32_768 + ((number * 31 + own * 7) % 28_000)
    const peer = isNat
      ? { address: '192.0.2.1', port: 1024 + (port % 30_000) }
      : { address: addressOf(caller.service), port }
    const thread = threadOf(service, own)
    const shared: Facts = {
      ...protocolFacts(service, number),
      ...(service.kind === 'database' ? {} : caller.header),
      [names.networkTransport]: 'tcp',
      [names.requestSize]: 120 + random.below(900),
      [names.responseSize]: 200 + random.below(9000),
      [names.keyRequestSeq]: firstSeq + own * 2048,
      [names.keyRequestHash]: random.hex(16),
      [names.keyResponseSeq]: ((number * 1171) % 2 ** 31) + own * 4096,
      [names.keyResponseHash]: random.hex(16),
      [names.serverAddress]: addressOf(service),
      [names.serverPort]: portOf(service),
    }
    const clientEnd = { [names.clientAddress]: addressOf(caller.service), [names.clientPort]: port }
    const serverEnd = { [names.clientAddress]: peer.address, [names.clientPort]: peer.port }
    const server = { address: addressOf(service), port: portOf(service) }

    let now = startUs
    let above = cause
    const path = sightsBetween(caller.service, service).map(sight => {
      now += sight.delayUs
      const known = reserve(sight.host, above)
      above = { parent: known, proof: 'path' }
      return { ...sight, known, startUs: now }
    })
    let endUs = serve(path.at(-1)!.known, now)
    for (const { point, host, known, startUs: begin } of [...path].reverse()) {
      const isSys = point.endsWith('-p')
      const isClientSide = point.startsWith('c')
      fill(known, isSys ? processResource(isClientSide ? caller.service : service) : hostResource(host), {
        traceId: random.hex(32),
        spanId: random.hex(16),
        parentSpanId: '',
        name: service.kind === 'database' ? 'SELECT orders' : 'GET',
        kind: point === 'c-p' ? spanKind.client : isSys ? spanKind.server : spanKind.internal,
        from: begin,
        to: endUs,
        facts: {
          [names.layer]: isSys ? 'sys' : 'net',
          [names.observationPoint]: point,
          [names.keyConnection]: `${bootOf(host)}/${port}`,
          ...(point === 'c-p' ? processFacts(caller.service, { thread: caller.thread, ...server }) : {}),
          ...(point === 's-p' ? processFacts(service, { thread, ...peer }) : {}),
          ...(isSys ? {} : { ...interfaceFacts(point, own), ...(isClientSide ? clientEnd : serverEnd) }),
          ...shared,
        },
      })
      endUs += 5 + random.below(15)
    }
    return endUs

    /** What happens in the process that was called; gives when its response leaves. */
    function serve(entry: KnownSpan, from: number): number {
      const begin = from + 20
      switch (service.kind) {
        case 'database':
          return begin + 100 + random.below(400)
        case 'gateway': {
          const header = { ...caller.header, [names.keyRequestId]: requestId }
          const proof =
            (caller.header[names.keyTraceparent] ?? caller.header[names.keySw8]) ? 'header' : undefined
          return callAll(begin, { service, thread, header }, { parent: entry, proof })
        }
        case 'threads':
          return callAll(begin, { service, thread, header: {} }, { parent: entry, proof: undefined })
        default:
          return serveWithAgent(entry, begin)
      }
    }

    function callAll(begin: number, from: Caller, inner: Cause): number {
      let next = begin + 30
      let latest = next
      for (const each of visit.calls) {
        const proof = each.service.kind === 'database' ? undefined : inner.proof
        const done = call(from, { visit: each, startUs: next, cause: { ...inner, proof } })
        latest = Math.max(latest, done)
        next = visit.isParallel === true ? next + 30 : done + 20
      }
      return latest + 20 + random.below(100)
    }

    function serveWithAgent(entry: KnownSpan, begin: number): number {
      const agent = service.kind === 'opentelemetry' ? openTelemetry(caller) : skyWalking()
      const serverSpan = reserve(service.host, {
        parent: entry,
        proof: agent.parentId === '' ? 'port' : 'header',
      })
      const serverContext = agent.next()
      const local = reserve(service.host, { parent: serverSpan, proof: 'sdk' })
      const localContext = agent.next()
      let next = begin + 30
      let latest = next
      for (const inner of visit.calls) {
        const context = agent.next()
        const clientSpan = reserve(service.host, { parent: local, proof: 'sdk' })
        const proof = inner.service.kind === 'database' ? undefined : 'header'
        const done = call(
          { service, thread, header: agent.header(context) },
          { visit: inner, startUs: next + 15, cause: { parent: clientSpan, proof } },
        )
        fill(clientSpan, agentResource(service), {
          traceId: agent.traceId,
          spanId: context.id,
          parentSpanId: localContext.id,
          name: inner.service.kind === 'database' ? 'SELECT shop.orders' : 'GET',
          kind: spanKind.client,
          from: next,
          to: done + 15,
          facts: { ...clientSpanFacts(inner.service, number), ...agent.facts(context, localContext.number) },
        })
        latest = Math.max(latest, done + 15)
        next = visit.isParallel === true ? next + 30 : done + 40
      }
      const end = latest + 30 + random.below(100)
      fill(local, agentResource(service), {
        traceId: agent.traceId,
        spanId: localContext.id,
        parentSpanId: serverContext.id,
        name: 'handle',
        kind: spanKind.internal,
        from: begin + 10,
        to: end - 10,
        facts: {
          'code.function.name': 'OrdersController.show',
          'app.customer.id': number % 1000,
          ...agent.facts(localContext, serverContext.number),
        },
      })
      fill(serverSpan, agentResource(service), {
        traceId: agent.traceId,
        spanId: serverContext.id,
        parentSpanId: agent.parentId,
        name: 'GET /orders/{id}',
        kind: spanKind.server,
        from: begin,
        to: end,
        facts: { ...serverSpanFacts(service, number, peer), ...agent.facts(serverContext, -1) },
      })
      return end + 20
    }
  }

  function sightsBetween(client: Service, server: Service) {
    const wireUs = client.host === server.host ? 0 : 100 + random.below(80)
    const hopUs = () => 5 + random.below(15)
    return [
      { point: 'c-p', host: client.host, delayUs: 0 },
      { point: 'c', host: client.host, delayUs: hopUs() },
      { point: 'c-nd', host: client.host, delayUs: hopUs() },
      { point: 's-nd', host: server.host, delayUs: hopUs() + wireUs },
      { point: 's', host: server.host, delayUs: hopUs() },
      { point: 's-p', host: server.host, delayUs: hopUs() },
    ]
  }

  /** Event loops and gateways serve on their main thread, others each request on a thread of its own. */
  function threadOf({ kind, pid }: Service, own: number): number {
    return kind === 'opentelemetry' || kind === 'gateway' ? pid : pid * 1000 + ((number * 7 + own) % 900)
  }

  function openTelemetry({ header }: Caller): Agent {
    const [, traceId = random.hex(32), parentId = ''] = header[names.keyTraceparent]?.split('-') ?? []
    let count = 0
    return {
      traceId,
      parentId,
      next: () => ({ id: random.hex(16), number: count++ }),
      header: ({ id }) => ({ [names.keyTraceparent]: `00-${traceId}-${id}-01` }),
      facts: () => ({}),
    }
  }

  /** Its spans know their segment; what the caller's `sw8` said is not among what these carry. */
  function skyWalking(): Agent {
    const native = random.hex(24)
    const segment = random.hex(24)
    let count = 0
    return {
      traceId: random.hex(32),
      parentId: '',
      next: () => ({ id: random.hex(16), number: count++ }),
      header: context => ({ [names.keySw8]: `${native}/${segment}/${context.number}` }),
      facts: (context, parent) => ({
        'sw8.trace_id': native,
        'sw8.segment_id': segment,
        'sw8.span_id': context.number,
        'sw8.parent_span_id': parent,
      }),
    }
  }

  function reserve(host: string, { parent, proof }: Cause): MutableSpan {
    const known: MutableSpan = { piece: pending, host, parent, proof }
    spans.push(known)
    return known
  }

  function fill(known: MutableSpan, resource: Envelope, { from, to, facts, ...fields }: Filling): void {
    const skew = skewUs[known.host] ?? 0
    const span = Span.create({
      ...fields,
      startTimeUnixNano: at(from + skew),
      endTimeUnixNano: at(to + skew),
      attributes: Object.entries(facts),
    })
    known.piece = { resource, scope, span }
  }
}

/** The nearest cause of a span that is among those kept, by the truth. */
export function keptCause(span: KnownSpan, kept: ReadonlySet<KnownSpan>): KnownSpan | undefined {
  let above = span.parent
  while (above && !kept.has(above)) above = above.parent
  return above
}

const scope = createScope('test')
const pending: Piece = {
  resource: hostResource(''),
  scope,
  span: Span.create({
    traceId: '',
    spanId: '',
    parentSpanId: '',
    name: '',
    kind: spanKind.internal,
    startTimeUnixNano: 0n,
    endTimeUnixNano: 0n,
  }),
}

type MutableSpan = { -readonly [Key in keyof KnownSpan]: KnownSpan[Key] }

interface Caller {
  readonly service: Service
  readonly thread: number
  readonly header: Readonly<Record<string, string>>
}

type Cause = Pick<KnownSpan, 'parent' | 'proof'>

interface Call {
  readonly visit: Visit
  readonly startUs: number
  readonly cause: Cause
}

interface AgentContext {
  readonly id: string
  readonly number: number
}

interface Agent {
  readonly traceId: string
  readonly parentId: string
  next(): AgentContext
  header(context: AgentContext): Readonly<Record<string, string>>
  facts(context: AgentContext, parent: number): Facts
}

interface Filling {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: SpanKind
  readonly from: number
  readonly to: number
  readonly facts: Facts
}
