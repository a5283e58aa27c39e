import { names } from '../../model/attribute-names.ts'
import type { AttributeValue, Exchange, Message } from '../protocol.ts'
import type { Head } from './head.ts'

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])
const maximumTextLength = 2048

/** Name, attributes and status by OpenTelemetry's conventions for HTTP spans (stable since 1.23). */
export function toExchange(
  request: { readonly message: Message; readonly head: Head; readonly isTruncated: boolean },
  response?: { readonly message: Message; readonly head: Head; readonly isTruncated: boolean },
): Exchange {
  const { method, target } = request.head
  const isKnown = knownMethods.has(method)
  const attributes: Record<string, AttributeValue> = {
    [names.networkProtocolName]: 'http',
    [names.httpRequestMethod]: isKnown ? method : '_OTHER',
    [names.urlScheme]: 'http',
  }
  const set = (name: string, value: string): void => {
    if (value !== '') attributes[name] = value.slice(0, maximumTextLength)
  }
  if (!isKnown) set(names.httpRequestMethodOriginal, method)
  set(names.networkProtocolVersion, request.head.version)
  if (method !== 'CONNECT') setUrl(set, target)
  set(names.userAgent, request.head.userAgent)
  if (request.head.host !== '') attributes[names.httpRequestHost] = [request.head.host.slice(0, 255)]
  set(names.keyTraceparent, request.head.traceparent.slice(0, 256))
  set(names.keySw8, parseSw8(request.head.sw8))
  set(names.keyRequestId, request.head.requestId.slice(0, 256))
  const status = response?.head.status ?? 0
  if (response !== undefined) {
    set(names.keyResponseRequestId, response.head.requestId.slice(0, 256))
    if (status !== 0) attributes[names.httpResponseStatusCode] = status
  }
  return {
    request: request.message,
    response: response?.message,
    name: isKnown ? method : 'HTTP',
    attributes,
    error:
      status >= 400
        ? { type: String(status), message: '', countsFor: status >= 500 ? 'both' : 'client' }
        : undefined,
    isTruncated: request.isTruncated || response?.isTruncated === true,
  }
}

/** Target forms of RFC 9112 §3.2: origin (`/a?b`), absolute (`http://host/a?b`, through a proxy), asterisk. */
function setUrl(set: (name: string, value: string) => void, target: string): void {
  const origin = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1] ?? target
  const mark = origin.indexOf('?')
  set(names.urlPath, mark === -1 ? origin : origin.slice(0, mark))
  if (mark !== -1) set(names.urlQuery, redactQuery(origin.slice(mark + 1)))
}

/** Keys stay, values go: `a=1&b` becomes `a=REDACTED&b`. */
function redactQuery(query: string): string {
  return query.slice(0, maximumTextLength).replace(/=[^&;]*/g, '=REDACTED')
}

/**
 * `sample-b64(traceId)-b64(segmentId)-spanId-b64(service)-b64(instance)-b64(endpoint)-b64(peer)`, SkyWalking's cross-process
 * header v3, to `traceId/segmentId/spanId` of the Exit span that wrote it. Malformed: ''.
 */
export function parseSw8(header: string): string {
  const parts = header.split('-')
  const [sample = '', trace = '', segment = '', span = ''] = parts
  if (parts.length !== 8 || !/^[01]$/.test(sample) || !/^\d{1,9}$/.test(span)) return ''
  const traceId = decodeBase64(trace)
  const segmentId = decodeBase64(segment)
  return traceId === '' || segmentId === '' ? '' : `${traceId}/${segmentId}/${span}`
}

function decodeBase64(text: string): string {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return ''
  const decoded = Buffer.from(text, 'base64').toString('latin1')
  return /^[\x21-\x2e\x30-\x7e]{1,256}$/.test(decoded) ? decoded : '' // printable, and no '/': it separates
}
