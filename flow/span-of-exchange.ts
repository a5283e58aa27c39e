import { names } from '../model/attribute-names.ts'
import type { AttributeValue } from '../model/attributes.ts'
import { createScope } from '../model/resource.ts'
import type { Envelope } from '../model/resource.ts'
import { Span, spanKind, statusCode } from '../model/span.ts'
import type { SpanKind } from '../model/span.ts'
import type { ClockMap } from './clock-map.ts'
import type { SeenExchange } from './conversation.ts'
import type { Endpoint, Transport } from './events.ts'
import type { Facts } from './facts.ts'
import { messageIdOf, spanIdOf, spanPlaceOf, traceIdOf, traceKeyOf } from './ids.ts'
import { startHashOf } from './message.ts'
import type { NetworkStory, Sight, Story } from './network-story.ts'
import { interfacePlace, observationPoint } from './observation-point.ts'
import type { Path } from './paths.ts'
import type { Resources } from './resources.ts'
import type { MixedHash } from './mixed-hash.ts'
import type { SocketStream } from './sockets.ts'
import { createTemplate, type SpanTemplate } from './span-template.ts'
import { storyAttributes, storyEvents } from './story-attributes.ts'
import type { ThreadState, Threads } from './threads.ts'

type Attribute = readonly [name: string, value: AttributeValue]

/** A span with what it stands under: ready for `groupSpans` of model/batch.ts. */
export interface FinishedSpan {
  readonly resource: Envelope
  readonly scope: Envelope
  readonly span: Span
}

export interface SpanMaker {
  /** undefined: no clock reading has come yet. */
  ofSocket(exchange: SeenExchange, stream: SocketStream): FinishedSpan | undefined
  /** What happened to it, as far as was told until now. */
  storyOf(exchange: SeenExchange, path: Path): Story
  ofPath(exchange: SeenExchange, path: Path, story: Story): FinishedSpan | undefined
  /** From which spans of the same exchange, taking place again, can be made. */
  templateOf(finished: FinishedSpan, exchange: SeenExchange, stream: SocketStream): SpanTemplate | undefined
  /** Its process has no other facts since. */
  isCurrent(template: SpanTemplate, pid: number): boolean
}

export function createSpanMaker(context: {
  readonly facts: Facts
  readonly clock: ClockMap
  readonly resources: Resources
  readonly threads: Threads
  readonly story: NetworkStory
}): SpanMaker {
  const { facts, clock, resources, threads } = context
  const watches = new WeakMap<SpanTemplate, { readonly version: () => number; readonly made: number }>()
  const scopes = { sys: createScope('fullspan/sys'), net: createScope('fullspan/net') }
  const bootId = (): string => facts.host?.bootId ?? ''

  function make(
    exchange: SeenExchange,
    seen: {
      readonly id: string
      readonly transport: Transport
      readonly kind: SpanKind
      readonly countsAsServer: boolean
      readonly attributes: readonly Attribute[]
      readonly story: Story
      readonly isAtSocket: boolean
    },
  ): Span | undefined {
    const offset = clock.offsetAt(exchange.request.firstNs)
    if (offset === undefined) return undefined
    const { request, endNs, error } = exchange
    const isError = error !== undefined && (error.countsFor === 'both' || !seen.countsAsServer)
    return Span.create({
      traceId: traceIdOf(exchange, seen.transport, seen.id),
      spanId: seen.id,
      parentSpanId: '',
      name: exchange.name,
      kind: seen.kind,
      startTimeUnixNano: request.firstNs + offset,
      endTimeUnixNano: (endNs < request.firstNs ? request.firstNs : endNs) + offset,
      attributes: [
        ...seen.attributes,
        ...Object.entries(exchange.attributes),
        ...storyAttributes(seen.story, seen.isAtSocket),
        ...exchangeAttributes(exchange, seen.transport, clock),
        ...(isError ? [[names.errorType, error.type] as const] : []),
      ],
      events: storyEvents(seen.story, exchange, { offset, interfaceAt: facts.interfaceAt }),
      ...(isError && { status: { code: statusCode.error, message: error.message } }),
    })
  }

  function placeOf(exchange: SeenExchange, stream: SocketStream): MixedHash {
    const side = exchange.requestDirection === 1 ? 's' : 'c'
    return spanPlaceOf([bootId(), stream.cookie, side], messageIdOf(exchange))
  }

  function templateOf(
    finished: FinishedSpan,
    exchange: SeenExchange,
    stream: SocketStream,
  ): SpanTemplate | undefined {
    const { transport } = stream
    // a Unix socket has no number that another exchange would not have: its trace id is made of the span's
    if (transport !== 'tcp') return undefined
    // what happened to this one will not happen to the next
    if (finished.span.events.length > 0) return undefined
    const template = createTemplate(finished, exchange, {
      place: placeOf(exchange, stream),
      traceKey: traceKeyOf(exchange, transport, ''),
    })
    if (template !== undefined) {
      const version = context.story.watch(sightOf(exchange, stream))
      watches.set(template, { version, made: version() })
    }
    return template
  }

  function sightOf(exchange: SeenExchange, { netns, local, remote }: SocketStream): Sight {
    const isServer = exchange.requestDirection === 1
    const [client, server] = isServer ? [remote, local] : [local, remote]
    return { netns, client, server, interfaceIndex: undefined, side: isServer ? 'server' : 'client' }
  }

  function isCurrent(template: SpanTemplate, pid: number): boolean {
    const watch = watches.get(template)
    return watch?.version() === watch?.made && resources.ofProcess(pid) === template.finished.resource
  }

  function ofSocket(exchange: SeenExchange, stream: SocketStream): FinishedSpan | undefined {
    const { request } = exchange
    const isServer = exchange.requestDirection === 1
    const [client, server] = isServer ? [stream.remote, stream.local] : [stream.local, stream.remote]
    const place = placeOf(exchange, stream)
    const id = spanIdOf(place, request.seq, request.firstNs)
    const process = facts.process(request.pid)
    const span = make(exchange, {
      id,
      transport: stream.transport,
      kind: isServer ? spanKind.server : spanKind.client,
      countsAsServer: isServer,
      story: context.story.of(exchange, sightOf(exchange, stream)),
      isAtSocket: true,
      attributes: [
        [names.layer, 'sys'],
        [names.observationPoint, isServer ? 's-p' : 'c-p'],
        [names.keyConnection, `${bootId()}/${stream.cookie}`],
        [names.keyRequestThread, request.tid],
        ...threadAttributes(exchange, isServer),
        [names.keyProcess, `${bootId()}/${request.pid}/${process?.startTimeNs ?? 0n}`],
        [names.threadId, request.tid],
        [names.netns, stream.netns],
        ...endAttributes(client, server),
        ...endpointAttributes(stream.remote, names.networkPeerAddress, names.networkPeerPort),
      ],
    })
    return span && { resource: resources.ofProcess(request.pid), scope: scopes.sys, span }
  }

  function threadAttributes(exchange: SeenExchange, isServer: boolean): Attribute[] {
    const { request, response } = exchange
    if (response === undefined) return []
    // the thread that sent the request may not be the one that got the answer: then what it does now tells
    const now: ThreadState | undefined =
      response.lastTid === request.tid
        ? { switches: response.lastSwitches, serverSwitches: response.lastServerSwitches }
        : threads.now(request.tid)
    // a thread that serves may well call others in between, but not serve them
    const isInterleaved = isServer
      ? now?.serverSwitches !== request.serverSwitches
      : now?.switches !== request.switches
    return [
      [names.keyResponseThread, response.lastTid],
      ...(isInterleaved ? [[names.keyEventLoop, true] as const] : []),
    ]
  }

  function storyOf(exchange: SeenExchange, path: Path): Story {
    const [client, server] = clientFirst(exchange, path.ends)
    const { netns, interfaceIndex } = path
    return context.story.of(exchange, { netns, interfaceIndex, client, server, side: undefined })
  }

  function ofPath(exchange: SeenExchange, path: Path, story: Story): FinishedSpan | undefined {
    const { request } = exchange
    const { netns, interfaceIndex, transport, tunnel } = path
    const [client, server] = clientFirst(exchange, path.ends)
    const isTunnelled = tunnel !== undefined
    const seenAt = { netns, interfaceIndex, transport, client, server, isTunnelled }
    const { point, originalDestination } = observationPoint(seenAt, facts)
    const connection = `${bootId()}/${netns}/${endText(client)}>${endText(server)}`
    const place = isTunnelled
      ? [connection, interfaceIndex, tunnel.type, tunnel.id ?? '']
      : [connection, interfaceIndex]
    const span = make(exchange, {
      id: spanIdOf(spanPlaceOf(place, messageIdOf(exchange)), request.seq, request.firstNs),
      transport,
      kind: spanKind.internal,
      countsAsServer: point === 's' || point === 's-nd',
      story,
      isAtSocket: false,
      attributes: [
        [names.layer, 'net'],
        [names.observationPoint, point],
        [names.keyConnection, connection],
        [names.netns, netns],
        ...ownerAttributes(netns),
        [names.interfaceIndex, interfaceIndex],
        ...interfaceAttributes(netns, interfaceIndex),
        [names.ioDirection, request.isTransmit ? 'transmit' : 'receive'],
        ...tunnelAttributes(exchange, path),
        ...(originalDestination === undefined
          ? []
          : [[names.originalDestination, endText(originalDestination)] as const]),
        ...retransmissionAttributes(exchange),
        ...endAttributes(client, server),
      ],
    })
    return span && { resource: resources.ofNamespace(netns), scope: scopes.net, span }
  }

  function ownerAttributes(netns: number): Attribute[] {
    const owner = facts.ownerOf(netns)
    return owner === '' ? [] : [[names.capturePoint, owner]]
  }

  function interfaceAttributes(netns: number, index: number): Attribute[] {
    const seenAt = facts.interfaceAt(netns, index)
    const attributes: Attribute[] = [
      [names.interfaceName, seenAt?.name ?? ''],
      [names.interfaceKind, seenAt?.kind ?? ''],
    ]
    if (seenAt === undefined) return attributes
    const peer = facts.interfaceAt(seenAt.peerNetns, seenAt.peerIndex)
    const master = facts.interfaceAt(netns, seenAt.masterIndex)
    attributes.push([names.interfacePlace, interfacePlace(seenAt, master)])
    if (master !== undefined) attributes.push([names.interfaceMaster, master.name])
    if (seenAt.kind === 'veth' && peer !== undefined) {
      attributes.push([names.interfacePeer, `${peer.name} in ${peer.netns}`])
    }
    return attributes
  }

  return { ofSocket, storyOf, ofPath, templateOf, isCurrent }
}

function clientFirst(
  { requestDirection }: SeenExchange,
  [one, other]: readonly [Endpoint, Endpoint],
): readonly [client: Endpoint, server: Endpoint] {
  return requestDirection === 0 ? [one, other] : [other, one]
}

function tunnelAttributes({ requestDirection }: SeenExchange, { tunnel }: Path): Attribute[] {
  if (tunnel === undefined) return []
  const { type, id, source, destination } = tunnel
  const [client, server] = requestDirection === 0 ? [source, destination] : [destination, source]
  return [
    [names.tunnelType, type],
    ...(id === undefined ? [] : [[names.tunnelId, id] as const]),
    [names.tunnelClientAddress, client],
    [names.tunnelServerAddress, server],
  ]
}

function retransmissionAttributes({ retransmissions }: SeenExchange): Attribute[] {
  return retransmissions > 0 ? [[names.retransmissions, retransmissions]] : []
}

function exchangeAttributes(exchange: SeenExchange, transport: Transport, clock: ClockMap): Attribute[] {
  const { request, response, incomplete } = exchange
  const attributes: Attribute[] = [
    [names.networkTransport, transport],
    [names.requestSize, request.lengthBytes],
  ]
  const requestHash = startHashOf(request)
  const responseHash = response === undefined ? '' : startHashOf(response)
  if (transport === 'tcp') attributes.push([names.keyRequestSeq, request.seq])
  if (requestHash !== '') attributes.push([names.keyRequestHash, requestHash])
  if (response !== undefined) {
    attributes.push([names.responseSize, response.lengthBytes])
    if (transport === 'tcp') attributes.push([names.keyResponseSeq, response.seq])
    if (responseHash !== '') attributes.push([names.keyResponseHash, responseHash])
  }
  const isStepped = clock.hasStepBetween(request.firstNs, exchange.endNs)
  const reasons = isStepped ? [...incomplete, 'clock_step'] : incomplete
  if (reasons.length > 0) attributes.push([names.incomplete, reasons.join(',')])
  return attributes
}

function endAttributes(client: Endpoint, server: Endpoint): Attribute[] {
  return [
    ...endpointAttributes(client, names.clientAddress, names.clientPort),
    ...endpointAttributes(server, names.serverAddress, names.serverPort),
  ]
}

/** Unix sockets have a path for an address, often none on the client's side, and no port. */
function endpointAttributes(end: Endpoint, address: string, port: string): Attribute[] {
  const attributes: Attribute[] = []
  if (end.address !== '') attributes.push([address, end.address])
  if (end.port !== 0) attributes.push([port, end.port])
  return attributes
}

function endText({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
