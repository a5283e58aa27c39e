import type { Direction } from './conversation.ts'
import type { SocketDataEvent } from './events.ts'
import type { FinishedSpan } from './span-of-exchange.ts'
import type { Occurrence, SpanTemplate } from './span-template.ts'
import type { ThreadState } from './threads.ts'

/**
 * Most exchanges of a busy connection are the same bytes again. Where both messages came in one event each, and equal what was
 * decoded before, the span is the one of before with other ids, times and numbers: nothing is decoded. Only for protocols in
 * which the same bytes mean the same, whatever came between.
 */
export interface Repeats {
  /** `taken`: nothing else to do, or not yet. `no`: decode what is held, then this. */
  push(event: SocketDataEvent, direction: Direction, thread: ThreadState): 'taken' | 'no'
  /** A request that waits for its response, to be decoded after all; it is held no longer. */
  release(): HeldRequest | undefined
  /** Both messages of an exchange that was decoded and is whole; their payloads are kept. */
  learn(lesson: Lesson): void
}

export interface HeldRequest {
  readonly event: SocketDataEvent
  readonly thread: ThreadState
}

export interface Lesson {
  readonly request: SocketDataEvent
  readonly response: SocketDataEvent
  readonly requestDirection: Direction
  readonly isInterleaved: boolean
  readonly template: SpanTemplate
}

interface Known extends Lesson {
  readonly requestBytes: Uint8Array
  readonly responseBytes: Uint8Array
}

/** A connection repeats an exchange or two (a health check, a page) or none. */
const maximumKnown = 2
/** Longer messages are rarely the same, and each connection keeps those of its exchanges. */
export const maximumRepeatedBytes = 1024

export function createRepeats(options: {
  /** Unix time minus kernel time; undefined where the clock was set in between. */
  readonly offsetFor: (fromNs: bigint, toNs: bigint) => bigint | undefined
  readonly threadNow: (tid: number) => ThreadState | undefined
  /** What the template stands under still holds. */
  readonly isCurrent: (template: SpanTemplate, pid: number) => boolean
  readonly emit: (span: FinishedSpan) => void
}): Repeats {
  const known: Known[] = []
  let held: (HeldRequest & { readonly of: readonly Known[] }) | undefined

  function push(event: SocketDataEvent, direction: Direction, thread: ThreadState): 'taken' | 'no' {
    if (held !== undefined) return answer(event, direction, thread)
    const of = known.filter(
      each => each.requestDirection === direction && isSame(event, each.request, each.requestBytes),
    )
    const [first] = of
    if (first === undefined) return 'no'
    const { switches, serverSwitches } = thread
    // its bytes are known: the chunk in which they came need not be kept
    held = { event: { ...event, payload: first.requestBytes }, thread: { switches, serverSwitches }, of }
    return 'taken'
  }

  function answer(event: SocketDataEvent, direction: Direction, thread: ThreadState): 'taken' | 'no' {
    const { event: request, thread: before, of } = held!
    for (const each of of) {
      if (each.requestDirection === direction || !isSame(event, each.response, each.responseBytes)) continue
      const now = event.tid === request.tid ? thread : options.threadNow(request.tid)
      const isInterleaved =
        each.requestDirection === 1
          ? now?.serverSwitches !== before.serverSwitches
          : now?.switches !== before.switches
      if (isInterleaved !== each.isInterleaved || !options.isCurrent(each.template, request.pid)) continue
      const occurrence = occurrenceOf(request, event, options.offsetFor)
      const span = occurrence && each.template.repeat(occurrence)
      if (span === undefined) continue
      held = undefined
      options.emit(span)
      return 'taken'
    }
    return 'no'
  }

  return {
    push,
    release() {
      const released = held
      held = undefined
      return released
    },
    learn(lesson) {
      const { request, response } = lesson
      if (known.length >= maximumKnown) known.shift()
      known.push({ ...lesson, requestBytes: request.payload, responseBytes: response.payload })
    },
  }
}

/** The same bytes, moved by the same thread. */
function isSame(event: SocketDataEvent, before: SocketDataEvent, bytes: Uint8Array): boolean {
  return (
    event.length === bytes.length &&
    event.payload.length === bytes.length &&
    event.tid === before.tid &&
    event.pid === before.pid &&
    Buffer.compare(event.payload, bytes) === 0
  )
}

function occurrenceOf(
  request: SocketDataEvent,
  response: SocketDataEvent,
  offsetFor: (fromNs: bigint, toNs: bigint) => bigint | undefined,
): Occurrence | undefined {
  const firstNs = request.timeNs
  const lastNs = response.timeNs < firstNs ? firstNs : response.timeNs
  const offset = offsetFor(firstNs, response.timeNs)
  if (offset === undefined) return undefined
  return { requestSeq: request.seq, responseSeq: response.seq, firstNs, lastNs, offset }
}
