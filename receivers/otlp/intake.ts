import { Observable, type Subscriber } from 'rxjs'
import type { Answer, Intake, ReceiverContext } from '../../core/component.ts'
import { occasionally } from '../../core/log-rate.ts'
import { checkRequest } from '../../formats/otlp/check.ts'
import type { Encoding } from '../../formats/otlp/encoding.ts'
import { type JsonRequest, JsonMappingError, readJsonRequest } from '../../formats/otlp/json-read.ts'
import { JsonSyntaxError } from '../../formats/otlp/json-text.ts'
import { noRefusals, type Refusals } from '../../formats/otlp/refusals.ts'
import type { PartialSuccess } from '../../formats/otlp/reply.ts'
import { signalFacts } from '../../formats/otlp/signals.ts'
import { Batch, type Signal } from '../../model/batch.ts'
import { copyBytes } from '../../model/wire.ts'

export interface OtlpRequest {
  readonly signal: Signal
  readonly encoding: Encoding
  readonly bytes: Uint8Array
  /** `address:port` of the sender. */
  readonly peer: string | undefined
}

/** What is to be told to the sender. */
export type Outcome =
  | { readonly kind: 'taken'; readonly partial: PartialSuccess | undefined }
  | { readonly kind: 'invalid'; readonly message: string; readonly violations: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: string; readonly retryAfterMs: number }

export type TakeIn = (request: OtlpRequest) => Promise<Outcome>

/** What both protocols share: bytes become an intake, core's answer becomes an outcome. */
export function createIntake(context: ReceiverContext): {
  readonly takeIn: TakeIn
  readonly intake$: Observable<Intake>
  readonly complete: () => void
} {
  const say = occasionally(context.logger, context.clock)
  let subscriber: Subscriber<Intake> | undefined
  const intake$ = new Observable<Intake>(newSubscriber => {
    subscriber = newSubscriber
    return () => (subscriber = undefined)
  })
  const takeIn: TakeIn = async request => {
    if (!subscriber) return notStarted
    const ready = prepare(request, context)
    if (ready.kind !== 'ready') {
      say.warn({ message: ready.message, peer: request.peer }, 'a request was refused as malformed')
      return ready
    }
    const { bytes, items, partial, hasStringIndex } = ready
    if (hasStringIndex && request.signal !== 'profiles') {
      say.warn({ peer: request.peer }, 'attributes refer to a string table, which only profiles have')
    }
    if (partial)
      say.warn({ ...partial, peer: request.peer }, 'a part of a request was refused, or makes no sense')
    if (items === 0) return { kind: 'taken', partial }
    const answer = await new Promise<Answer>(resolve => {
      const intake = context.intake(origin => Batch.ofRequest(request.signal, bytes, items, origin), {
        answer: resolve,
        peer: request.peer,
      })
      subscriber?.next(intake)
    })
    if (answer.kind === 'accepted') return { kind: 'taken', partial }
    return { kind: 'refused', reason: answer.reason, retryAfterMs: answer.retryAfterMs }
  }
  return { takeIn, intake$, complete: () => subscriber?.complete() }
}

const notStarted: Outcome = { kind: 'refused', reason: 'the receiver is not running', retryAfterMs: 1000 }

/** One reason in the ledger; what is wrong with which item is for the sender and the log. */
const malformed = 'malformed'

/** A small request is not to keep alive the large buffer that the connection was read into. */
function withoutSlack(bytes: Uint8Array): Uint8Array {
  return bytes.length * 2 < bytes.buffer.byteLength ? copyBytes(bytes) : bytes
}

interface Ready {
  readonly kind: 'ready'
  readonly bytes: Uint8Array
  readonly items: number
  readonly partial: PartialSuccess | undefined
  readonly hasStringIndex: boolean
}

function prepare(request: OtlpRequest, context: ReceiverContext): Ready | (Outcome & { kind: 'invalid' }) {
  const { signal } = request
  const json = request.encoding === 'json' ? readJson(request) : undefined
  if (typeof json === 'string') {
    context.refuse(signal, 0, malformed)
    return invalid(json)
  }
  const checked = checkRequest(signal, json?.bytes ?? request.bytes)
  const jsonRefusals = json?.refusals ?? noRefusals
  if (!checked.isUsable) {
    context.refuse(signal, checked.items + jsonRefusals.items, malformed)
    return invalid(checked.message)
  }
  const { items, hasStringIndex } = checked
  if (!json && checked.refusals.items === 0) {
    const bytes = withoutSlack(checked.bytes)
    return { kind: 'ready', bytes, items, partial: undefined, hasStringIndex }
  }
  const refusals = [jsonRefusals, checked.refusals].filter(each => each.items > 0)
  for (const each of refusals) context.refuse(signal, each.items, malformed)
  if (items === 0 && refusals.length > 0) return invalid(describe(refusals, signal))
  return {
    kind: 'ready',
    bytes: withoutSlack(checked.bytes),
    items,
    partial: partialOf(refusals, signal, json?.strangeKeys ?? []),
    hasStringIndex: checked.hasStringIndex,
  }
}

function readJson({ signal, bytes }: OtlpRequest): JsonRequest | string {
  try {
    return readJsonRequest(signal, bytes)
  } catch (error) {
    if (error instanceof JsonSyntaxError) return `The body is not JSON: ${error.message}.`
    if (error instanceof JsonMappingError) {
      return `The body is no ${signalFacts[signal].request}: ${error.message}.`
    }
    throw error
  }
}

function invalid(message: string): Outcome & { kind: 'invalid' } {
  return { kind: 'invalid', message, violations: [message] }
}

function partialOf(
  refusals: readonly Refusals[],
  signal: Signal,
  strangeKeys: readonly string[],
): PartialSuccess | undefined {
  if (refusals.length > 0) {
    const rejected = refusals.reduce((sum, { items }) => sum + items, 0)
    return { rejected, message: describe(refusals, signal) }
  }
  if (strangeKeys.length === 0) return undefined
  const keys = strangeKeys
    .slice(0, 5)
    .map(key => key.slice(0, 40))
    .join(', ')
  const message = `Nothing of this is an ${signalFacts[signal].request}; its keys are: ${keys}.`
  return { rejected: 0, message }
}

function describe(refusals: readonly Refusals[], signal: Signal): string {
  return refusals.map(each => each.describe(signalFacts[signal].items)).join('; ')
}
