import { propagationFields, type ReadField } from '../../formats/propagation/keys.ts'

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
  readonly requestId: string
  /** Of what propagates traces; undefined: no such field. */
  readonly read: ReadField
}

const wantedNames: ReadonlySet<string> = new Set([
  'host',
  'user-agent',
  'x-request-id',
  'content-length',
  'transfer-encoding',
  ...propagationFields,
])
const longestWanted = Math.max(...[...wantedNames].map(name => name.length))
/** First letters of the wanted names of each length: most fields are passed over without making text of them. */
const wantedStarts: readonly ReadonlySet<number>[] = Array.from(
  { length: longestWanted + 1 },
  (_, length) =>
    new Set([...wantedNames].filter(name => name.length === length).map(name => name.charCodeAt(0))),
)
const maximumFieldValue = 2048

/** Parses `bytes` up to their last whole line; undefined when they don't begin with a start line of HTTP/1. */
export function parseHead(bytes: Uint8Array, isResponse: boolean): Head | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const firstEnd = text.indexOf(10)
  const startLine = text.toString('latin1', 0, firstEnd === -1 ? text.length : trimCr(text, firstEnd))
  const start = isResponse ? parseStatusLine(startLine) : parseRequestLine(startLine, firstEnd === -1)
  if (start === undefined) return undefined
  const fields = firstEnd === -1 ? noFields : readFields(text, firstEnd + 1)
  return {
    method: start.method,
    target: start.target,
    status: start.status,
    version: start.version,
    contentLength: parseLength(fields.get('content-length')),
    isChunked: isChunked(fields.get('transfer-encoding')),
    host: fields.get('host') ?? '',
    userAgent: fields.get('user-agent') ?? '',
    requestId: fields.get('x-request-id') ?? '',
    read: name => fields.get(name),
  }
}

const noFields: ReadonlyMap<string, string> = new Map()

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
    const isCandidate = colon < last && wantedStarts[colon - at]?.has(text[at]! | 32) === true
    if (isCandidate) {
      const name = text.toString('latin1', at, colon).toLowerCase()
      if (wantedNames.has(name) && !fields.has(name)) {
        const end = Math.min(newline, colon + 1 + maximumFieldValue)
        fields.set(name, text.toString('latin1', colon + 1, end).trim())
      }
    }
    at = newline + 1
  }
}

function parseLength(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : -1
}

function isChunked(codings: string | undefined): boolean {
  return codings !== undefined && /(?:^|,)\s*chunked\s*$/i.test(codings)
}
