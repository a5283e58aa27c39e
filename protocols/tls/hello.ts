/** What the two hellos tell in the clear (RFC 8446 §4.1, RFC 5246 §7.4.1). */
export interface ClientHello {
  /** Host name that the client wants; '' if it does not say. */
  readonly serverName: string
}

export interface ServerHello {
  /** `1.3`, `1.2`, … */
  readonly version: string
  /** IANA's name, or its number in hex. */
  readonly cipher: string
  /** ALPN; '' where there is none or it is encrypted (TLS 1.3). */
  readonly nextProtocol: string
}

export const clientHelloType = 1
export const serverHelloType = 2

const extension = { serverName: 0, alpn: 16, supportedVersions: 43 } as const

const ciphers: Readonly<Record<number, string>> = {
  0x1301: 'TLS_AES_128_GCM_SHA256',
  0x1302: 'TLS_AES_256_GCM_SHA384',
  0x1303: 'TLS_CHACHA20_POLY1305_SHA256',
  0xc02b: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  0xc02c: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  0xc02f: 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  0xc030: 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  0xcca8: 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  0xcca9: 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
}

/** `bytes`: of the handshake message, as far as they were captured; what lies beyond is taken for absent. */
export function parseClientHello(bytes: Uint8Array): ClientHello | undefined {
  const view = viewOf(bytes)
  let at = 4 + 2 + 32 // message header, version, random
  at += 1 + byteAt(view, at) // session id
  at += 2 + wordAt(view, at) // cipher suites
  at += 1 + byteAt(view, at) // compression methods
  let serverName = ''
  for (const { type, from, length } of extensionsFrom(view, at)) {
    // ServerNameList: length, type 0 (host_name), length, name (RFC 6066 §3)
    if (type !== extension.serverName || length < 5 || byteAt(view, from + 2) !== 0) continue
    const end = from + 5 + wordAt(view, from + 3)
    if (end <= bytes.length) serverName = Buffer.from(bytes.subarray(from + 5, end)).toString('latin1')
  }
  return { serverName }
}

export function parseServerHello(bytes: Uint8Array): ServerHello | undefined {
  const view = viewOf(bytes)
  if (bytes.length < 4 + 2 + 32 + 1) return undefined
  let number = wordAt(view, 4)
  let at = 4 + 2 + 32
  at += 1 + byteAt(view, at)
  const cipher = wordAt(view, at)
  let nextProtocol = ''
  for (const { type, from, length } of extensionsFrom(view, at + 3)) {
    if (type === extension.supportedVersions && length === 2) number = wordAt(view, from)
    if (type === extension.alpn && length > 3 && from + length <= bytes.length)
      nextProtocol = Buffer.from(bytes.subarray(from + 3, from + length)).toString('latin1')
  }
  const version = number === 0x0300 ? '3.0' : `1.${(number & 0xff) - 1}`
  const name = ciphers[cipher] ?? `0x${cipher.toString(16).padStart(4, '0')}`
  return { version, cipher: name, nextProtocol }
}

function* extensionsFrom(
  view: DataView,
  start: number,
): Generator<{ readonly type: number; readonly from: number; readonly length: number }> {
  const end = Math.min(view.byteLength, start + 2 + wordAt(view, start))
  let at = start + 2
  while (at + 4 <= end) {
    const length = wordAt(view, at + 2)
    yield { type: wordAt(view, at), from: at + 4, length }
    at += 4 + length
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function byteAt(view: DataView, at: number): number {
  return at < view.byteLength ? view.getUint8(at) : 0
}

function wordAt(view: DataView, at: number): number {
  return at + 2 <= view.byteLength ? view.getUint16(at) : 0
}
