import type { Verdict } from '../protocol.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']
const responseStart = 'HTTP/1.'
/** A request line may be longer; a known method and this much of a target are enough. */
const enoughBytes = 1024

/** A status line makes a server, a request line of HTTP/1 a client; other line protocols (RTSP, SIP, HTTP/2) are none. */
export function recognise(head: Uint8Array, length: number): Verdict {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, enoughBytes))
  const prefix = text.toString('latin1', 0, responseStart.length)
  if (prefix === responseStart) return 'server'
  if (responseStart.startsWith(prefix)) return 'more'
  return recogniseRequest(text, text.length === enoughBytes || length > head.length)
}

function recogniseRequest(text: Buffer, isAll: boolean): Verdict {
  const space = text.subarray(0, 33).indexOf(32)
  const method = text.toString('latin1', 0, space === -1 ? Math.min(text.length, 33) : space)
  if (!/^[A-Z][A-Z0-9_-]{0,31}$/.test(method)) return 'no'
  if (space === -1) return isAll ? 'no' : 'more'
  const newline = text.indexOf(10)
  if (newline !== -1)
    return / HTTP\/1\.[01]\r?$/.test(text.toString('latin1', space, newline)) ? 'client' : 'no'
  if (!/^ [\x21-\x7e\x80-\xff]*(?: [HTP/1.0\r]*)?$/.test(text.toString('latin1', space))) return 'no'
  if (!isAll) return 'more'
  return methods.includes(method) ? 'client' : 'no'
}
