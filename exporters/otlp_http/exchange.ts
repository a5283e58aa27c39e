import { Readable } from 'node:stream'
import type { Pool } from 'undici'
import { codingsOf, inflate } from '../../formats/otlp/compression.ts'
import { type Encoding, encodingOf } from '../../formats/otlp/encoding.ts'
import { decodeReply, type PartialSuccess } from '../../formats/otlp/reply.ts'
import { decodeStatus } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { sizeOf } from '../../model/wire.ts'
import { rejected, replyTooLarge, unavailable } from './errors.ts'
import { parseRetryAfter } from './retry-after.ts'

/** Where the requests of one signal go. */
export interface Target {
  readonly id: string
  readonly url: URL
  readonly pool: Pool
  readonly headers: Readonly<Record<string, string>>
  readonly encoding: Encoding
  readonly maximumReplyBytes: number
}

interface Reply {
  readonly status: number
  readonly encoding: Encoding | undefined
  readonly retryAfter: string | undefined
  readonly body: Uint8Array
}

/** Sends one request and reads its reply. Throws `retry` where there is none. */
export async function post(
  target: Target,
  pieces: readonly Uint8Array[],
  cancelled: AbortSignal,
): Promise<Reply> {
  const { id, url, pool } = target
  try {
    const {
      statusCode,
      headers,
      body: stream,
    } = await pool.request({
      method: 'POST',
      path: url.pathname + url.search,
      headers: { ...target.headers, 'content-length': String(sizeOf(pieces)) },
      body: pieces.length === 1 ? pieces[0]! : Readable.from(pieces),
      signal: cancelled,
    })
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > target.maximumReplyBytes) throw replyTooLarge(id, url.href, target.maximumReplyBytes)
      chunks.push(chunk)
    }
    return {
      status: statusCode,
      encoding: encodingOf(textOf(headers['content-type'])),
      retryAfter: textOf(headers['retry-after']),
      body: await inflateReply(Buffer.concat(chunks), textOf(headers['content-encoding']), target),
    }
  } catch (error) {
    if (error instanceof Error && error.name === 'FullspanError') throw error
    throw unavailable(id, url.href, reasonOf(error), undefined, error)
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}

/** We ask for no coding; some servers use one all the same. */
async function inflateReply(
  body: Uint8Array,
  coding: string | undefined,
  target: Target,
): Promise<Uint8Array> {
  const codings = codingsOf(coding)
  if (body.length === 0 || !codings || codings.length === 0) return body
  try {
    return await inflate(body, codings, target.maximumReplyBytes)
  } catch (error) {
    if (error instanceof Error && error.name === 'TooLargeError') {
      throw replyTooLarge(target.id, target.url.href, target.maximumReplyBytes)
    }
    return body
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ')
  return error instanceof Error ? error.message : String(error)
}

const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504])
const refusesContent: ReadonlySet<number> = new Set([400, 413, 422])

/** What a reply says: undefined for full success. Throws what its status asks for (OTLP 1.11 "OTLP/HTTP Response"). */
export function readReply(
  { status, encoding, retryAfter, body }: Reply,
  signal: Signal,
  { id, url }: Target,
  nowMs: number,
): PartialSuccess | undefined | 'unreadable' {
  if (status >= 200 && status < 300) {
    // An empty body is full success in either encoding, whatever its type.
    return body.length === 0 ? undefined : encoding ? decodeReply(signal, encoding, body) : 'unreadable'
  }
  const message = encoding ? decodeStatus(body, encoding)?.message : undefined
  const what = `HTTP ${status}${message === undefined || message === '' ? '' : `, ${message}`}`
  if (!retryable.has(status)) throw rejected(id, url.href, what, refusesContent.has(status))
  throw unavailable(id, url.href, what, parseRetryAfter(retryAfter, nowMs))
}
