/** Start line and the header fields that matter of one HTTP/1 message (RFC 9112). Absent fields are ''. */
export interface Head {
  /** Method and target, or '' and 0 in a response. */
  readonly method: string
  readonly target: string
  /** 0 in a request. */
  readonly status: number
  /** `1.0` or `1.1`. */
  readonly version: string
  /** -1: no Content-Length. */
  readonly contentLength: number
  readonly isChunked: boolean
  readonly host: string
  readonly userAgent: string
  readonly traceparent: string
  readonly sw8: string
  readonly requestId: string
}

const wantedFields = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'user-agent',
  'traceparent',
  'sw8',
  'x-request-id',
])
const longestWanted = 17
const maximumFieldValue = 2048

/** Parses `bytes` up to their last whole line; undefined when they don't begin with a start line of HTTP/1. */
export function parseHead(bytes: Uint8Array, isResponse: boolean): Head | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const firstEnd = text.indexOf(10)
  const startLine = text.toString('latin1', 0, firstEnd === -1 ? text.length : trimCr(text, firstEnd))
  const start = isResponse ? parseStatusLine(startLine) : parseRequestLine(startLine, firstEnd === -1)
  if (start === undefined) return undefined
  const fields = firstEnd === -1 ? new Map<string, string>() : readFields(text, firstEnd + 1)
  const get = (name: string): string => fields.get(name) ?? ''
  return {
    ...start,
    contentLength: parseLength(get('content-length')),
    isChunked: /(?:^|,)\s*chunked\s*$/i.test(get('transfer-encoding')),
    host: get('host'),
    userAgent: get('user-agent'),
    traceparent: get('traceparent'),
    sw8: get('sw8'),
    requestId: get('x-request-id'),
  }
}

function trimCr(text: Buffer, end: number): number {
  return end > 0 && text[end - 1] === 13 ? end - 1 : end
}

type StartLine = Pick<Head, 'method' | 'target' | 'status' | 'version'>

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^ ]+) HTTP\/(1\.[01])$/
const cutRequestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^ ]+)/

function parseRequestLine(line: string, isCut: boolean): StartLine | undefined {
  const match = (isCut ? cutRequestLine : requestLine).exec(line)
  if (match === null) return undefined
  return { method: match[1] ?? '', target: match[2] ?? '', status: 0, version: match[3] ?? '' }
}

function parseStatusLine(line: string): StartLine | undefined {
  const match = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: |$)/.exec(line)
  return match === null
    ? undefined
    : { method: '', target: '', status: Number(match[2]), version: match[1] ?? '' }
}

/** One pass; only fields that are wanted become strings. Of a repeated field the first counts. */
function readFields(text: Buffer, from: number): Map<string, string> {
  const fields = new Map<string, string>()
  let at = from
  for (;;) {
    const newline = text.indexOf(10, at)
    if (newline === -1) return fields
    let colon = at
    const last = Math.min(newline, at + longestWanted + 1)
    while (colon < last && text[colon] !== 58) colon++
    if (colon < last) {
      const name = text.toString('latin1', at, colon).toLowerCase()
      if (wantedFields.has(name) && !fields.has(name)) {
        const end = Math.min(newline, colon + 1 + maximumFieldValue)
        fields.set(name, text.toString('latin1', colon + 1, end).trim())
      }
    }
    at = newline + 1
  }
}

function parseLength(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : -1
}
