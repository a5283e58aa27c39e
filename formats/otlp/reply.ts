import type { Signal } from '../../model/batch.ts'
import { nested } from '../../model/attributes.ts'
import { type Cursor, readInt64, readText, readVarint, skipValue, Writer } from '../../model/wire.ts'
import { checkMessage } from './check-message.ts'
import type { Encoding } from './encoding.ts'
import { planOf } from './plan.ts'
import { signalFacts } from './signals.ts'

/** Partial success of an Export…ServiceResponse: so many items rejected; or, with 0, a warning. */
export interface PartialSuccess {
  readonly rejected: number
  readonly message: string
}

const empty = { protobuf: new Uint8Array(0), json: Buffer.from('{}') }

/** An Export…ServiceResponse. `partial_success` is left unset where nothing was rejected (OTLP 1.11 "Full Success"). */
export function encodeReply(signal: Signal, encoding: Encoding, partial?: PartialSuccess): Uint8Array {
  if (!partial) return empty[encoding]
  const { rejected, message } = partial
  if (encoding === 'json') {
    const counted = rejected > 0 && { [signalFacts[signal].rejected]: String(rejected) }
    return Buffer.from(JSON.stringify({ partialSuccess: { ...counted, errorMessage: message } }))
  }
  const writer = new Writer(message.length + 32)
  writer.message(1, () => {
    if (rejected > 0) {
      writer.tag(1, 0)
      writer.varint(rejected)
    }
    writer.stringField(2, message)
  })
  return writer.finish()
}

/**
 * Reads a reply: its partial success if it has one that says something, undefined for full success, 'unreadable' where the bytes
 * are no reply of OTLP.
 */
export function decodeReply(
  signal: Signal,
  encoding: Encoding,
  bytes: Uint8Array,
): PartialSuccess | undefined | 'unreadable' {
  if (encoding === 'json') return decodeReplyJson(signal, bytes)
  const plan = planOf(signalFacts[signal].request.replace('Request', 'Response'))
  if (!checkMessage(plan, bytes, 0, bytes.length, 0)) return 'unreadable'
  let rejected = 0
  let message = ''
  const cursor: Cursor = { bytes, at: 0, end: bytes.length }
  while (cursor.at < cursor.end) {
    const tag = readVarint(cursor)
    if (tag !== 10) {
      skipValue(cursor, tag & 7)
      continue
    }
    const inner = nested(cursor)
    while (inner.at < inner.end) {
      const innerTag = readVarint(inner)
      if (innerTag === 8) rejected = Number(readInt64(inner))
      else if (innerTag === 18) {
        const text = nested(inner)
        message = readText(text.bytes, text.at, text.end)
      } else skipValue(inner, innerTag & 7)
    }
  }
  return partialSuccess(rejected, message)
}

function decodeReplyJson(signal: Signal, bytes: Uint8Array): PartialSuccess | undefined | 'unreadable' {
  if (bytes.length === 0) return undefined
  try {
    const parsed = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      partialSuccess?: Readonly<Record<string, unknown>>
    } | null
    const partial = parsed?.partialSuccess ?? {}
    const { errorMessage } = partial
    return partialSuccess(
      Number(partial[signalFacts[signal].rejected] ?? 0),
      typeof errorMessage === 'string' ? errorMessage : '',
    )
  } catch {
    return 'unreadable'
  }
}

function partialSuccess(rejected: number, message: string): PartialSuccess | undefined {
  return rejected > 0 || message !== '' ? { rejected, message } : undefined
}
