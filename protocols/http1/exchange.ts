import { keysOfFields } from '../../formats/propagation/keys.ts'
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
  Object.assign(attributes, keysOfFields(request.head.read))
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
