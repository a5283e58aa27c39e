import type { IncomingMessage } from 'node:http'
import { type Coding, codingsOf } from '../../formats/otlp/compression.ts'
import { contentTypes, type Encoding, encodingOf } from '../../formats/otlp/encoding.ts'
import { grpcCode, shorten, type Status } from '../../formats/otlp/status.ts'
import type { Signal } from '../../model/batch.ts'
import { hasValidHost, pathOf } from './http-faults.ts'

/** Why a request is not taken. */
export interface Refusal {
  readonly httpStatus: number
  readonly status: Status
  readonly headers?: Readonly<Record<string, string>>
}

/** What the head of a request that may be taken says about its body. */
export interface Head {
  readonly signal: Signal
  readonly encoding: Encoding
  readonly codings: readonly Coding[]
}

interface HeadOptions {
  /** Signal by path. */
  readonly paths: ReadonlyMap<string, Signal>
  readonly maximumBytes: number
  readonly isClosing: boolean
}

/** What `Expect` says (RFC 9110 §10.1.1). */
export type Expects = 'nothing' | 'continue' | 'something else'

/** Everything that can be said before the body has come. */
export function judgeHead(request: IncomingMessage, options: HeadOptions, expects: Expects): Head | Refusal {
  if (!hasValidHost(request)) return badRequest('An HTTP/1.1 request has exactly one Host.')
  const { headers, method = '', url = '' } = request
  const path = pathOf(url)
  const signal = options.paths.get(path)
  if (signal === undefined) {
    const known = [...options.paths.keys()].join(', ')
    return refusal(404, grpcCode.notFound, `There is no ${shorten(path)} here, only: ${known}.`)
  }
  if (method !== 'POST') {
    return refusal(405, grpcCode.unimplemented, `${method} is not allowed here, only POST.`, {
      allow: 'POST',
    })
  }
  const encoding = encodingOf(headers['content-type'])
  if (!encoding) {
    const message = `Content-Type must be ${contentTypes.protobuf} or ${contentTypes.json}.`
    return refusal(415, grpcCode.invalidArgument, message, { accept: acceptedTypes })
  }
  const codings = codingsOf(headers['content-encoding'])
  if (!codings) {
    const message = 'Content-Encoding must be gzip, deflate or identity.'
    return refusal(415, grpcCode.invalidArgument, message, { 'accept-encoding': 'gzip, deflate, identity' })
  }
  if (expects === 'something else') {
    const message = `The expectation "${shorten(headers.expect ?? '')}" cannot be met.`
    return refusal(417, grpcCode.invalidArgument, message)
  }
  if (options.isClosing) return refusal(503, grpcCode.unavailable, 'shutting down', { 'retry-after': '1' })
  if (Number(headers['content-length'] ?? 0) > options.maximumBytes) return tooLarge(options.maximumBytes)
  return { signal, encoding, codings }
}

const acceptedTypes = `${contentTypes.protobuf}, ${contentTypes.json}`

function refusal(
  httpStatus: number,
  code: number,
  message: string,
  headers?: Readonly<Record<string, string>>,
): Refusal {
  return { httpStatus, status: { code, message }, ...(headers && { headers }) }
}

/** 400 with a BadRequest (OTLP 1.11 "Bad Data"). */
export function badRequest(message: string): Refusal {
  return { httpStatus: 400, status: { code: grpcCode.invalidArgument, message, violations: [message] } }
}

export function tooLarge(maximumBytes: number): Refusal {
  const message = `The body is larger than ${maximumBytes} bytes (max_request_body_size), as sent or inflated.`
  return refusal(413, grpcCode.resourceExhausted, message)
}
