import { names } from '../../model/attribute-names.ts'
import type { Envelope } from '../../model/resource.ts'
import type { Span } from '../../model/span.ts'
import { type SightSpan, timeOf } from './held.ts'

/**
 * What a runtime says of a call that it made: on which socket, at an instant at which it was open, and the same of the request for
 * which it was made (docs/decisions/0010).
 */
export interface Hint {
  /** As `socketOf` gives it. */
  readonly callSocket: string
  /** On the scale of `timeOf`. */
  readonly callTime: number
  /** '' where the runtime knows that no request was behind it. */
  readonly requestSocket: string
  readonly requestTime: number
}

export interface Hints {
  /** Bounded: past the limit the oldest socket's go. */
  add(hint: Hint): void
  /** By the socket of the call, and of the request. */
  ofCall(socket: string): readonly Hint[]
  ofRequest(socket: string): readonly Hint[]
  isEmpty(): boolean
  forgetBefore(time: number): void
  /** How many went because of the limit. */
  forgotten(): number
}

const mostHints = 100_000

export function createHints(): Hints {
  const byCall = new Map<string, Hint[]>()
  const byRequest = new Map<string, Hint[]>()
  let held = 0
  let forgotten = 0

  function forgetOldest(): void {
    const [oldest] = byCall.keys()
    if (oldest === undefined) return
    const gone = byCall.get(oldest) ?? []
    byCall.delete(oldest)
    held -= gone.length
    forgotten += gone.length
    for (const { requestSocket } of gone) keepIn(byRequest, requestSocket, hint => !gone.includes(hint))
  }

  return {
    add(hint) {
      if (held >= mostHints) forgetOldest()
      held++
      push(byCall, hint.callSocket, hint)
      if (hint.requestSocket !== '') push(byRequest, hint.requestSocket, hint)
    },
    ofCall: socket => byCall.get(socket) ?? none,
    ofRequest: socket => byRequest.get(socket) ?? none,
    forgetBefore(time) {
      const isKept = ({ callTime }: Hint) => callTime >= time
      held = 0
      for (const socket of byCall.keys()) held += keepIn(byCall, socket, isKept)
      for (const socket of byRequest.keys()) keepIn(byRequest, socket, isKept)
    },
    isEmpty: () => held === 0,
    forgotten: () => forgotten,
  }
}

const none: readonly Hint[] = []

function push(map: Map<string, Hint[]>, key: string, hint: Hint): void {
  const known = map.get(key)
  if (known) known.push(hint)
  else map.set(key, [hint])
}

function keepIn(map: Map<string, Hint[]>, key: string, isKept: (hint: Hint) => boolean): number {
  const kept = (map.get(key) ?? []).filter(isKept)
  if (kept.length === 0) map.delete(key)
  else map.set(key, kept)
  return kept.length
}

const sockets = new WeakMap<SightSpan, string>()

/**
 * The TCP connection of a SYS sight, of which at any time there is one: boot id, network namespace, both ends with the client's first,
 * joined by `|`; '' where capture does not know it. Worked out when it is first asked for: most sights meet no hint.
 */
export function socketOf(sight: SightSpan): string {
  let socket = sockets.get(sight)
  if (socket === undefined) sockets.set(sight, (socket = readSocket(sight.span)))
  return socket
}

function readSocket(span: Span): string {
  const client = span.number(names.clientPort)
  const server = span.number(names.serverPort)
  const bootId = /^[^/]+/.exec(span.text(names.keyProcess))?.[0]
  if (client === undefined || server === undefined || bootId === undefined) return ''
  const addresses = [names.clientAddress, names.serverAddress].map(name => span.text(name))
  return `${bootId}|${span.number(names.netns) ?? 0}|${addresses[0]}|${client}|${addresses[1]}|${server}`
}

/** Whether the spans under this scope are hints: they are read, and go no further. */
export function isHintScope(scope: Envelope): boolean {
  return scope.attribute(names.hint) !== undefined
}

/** undefined: it does not say what a hint must say. */
export function readHint(span: Span): Hint | undefined {
  const callTime = nanoseconds(span.text(names.hintCallTime))
  const callSocket = span.text(names.hintCall)
  if (callSocket === '' || callTime === undefined) return undefined
  const requestSocket = span.text(names.hintRequest)
  const requestTime = nanoseconds(span.text(names.hintRequestTime))
  if (requestSocket !== '' && requestTime === undefined) return undefined
  return { callSocket, callTime, requestSocket, requestTime: requestTime ?? callTime }
}

function nanoseconds(text: string): number | undefined {
  return /^\d{1,19}$/.test(text) ? timeOf(BigInt(text)) : undefined
}
