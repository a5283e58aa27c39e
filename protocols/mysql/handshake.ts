import { readLength, readNulText, readUint16, readUint32 } from './fields.ts'

/** Capability flags, https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
export const capability = {
  connectWithDb: 0x8,
  compress: 0x20,
  ssl: 0x800,
  secureConnection: 0x8000,
  lengthEncodedAuth: 0x200000,
  deprecateEof: 0x1000000,
  zstd: 0x4000000,
  queryAttributes: 0x8000000,
} as const

export interface Greeting {
  /** `8.0.26`, `5.5.5-10.11.6-MariaDB`. */
  readonly version: string
  readonly capabilities: number
}

/** The server's first packet (protocol version 10); undefined: it is none. */
export function parseGreeting(payload: Uint8Array): Greeting | undefined {
  if (payload[0] !== 10) return undefined
  const nul = payload.subarray(0, 80).indexOf(0, 1)
  if (nul === -1) return undefined
  const { text: version, end } = readNulText(payload, 1)
  if (!/^\d+\.\d+[\x21-\x7e]*$/.test(version)) return undefined
  const flags = end + 4 + 8 + 1
  return {
    version,
    capabilities: (readUint16(payload, flags) | (readUint16(payload, flags + 5) << 16)) >>> 0,
  }
}

export interface Login {
  readonly capabilities: number
  /** '' when none was chosen. */
  readonly database: string
  /** Not a login yet: TLS follows. */
  readonly isTlsRequest: boolean
}

/** HandshakeResponse41 or SSLRequest. */
export function parseLogin(payload: Uint8Array, length: number): Login {
  const capabilities = readUint32(payload, 0)
  const isTlsRequest = length === 32 && (capabilities & capability.ssl) !== 0
  return { capabilities, database: isTlsRequest ? '' : readDatabase(payload, capabilities), isTlsRequest }
}

function readDatabase(payload: Uint8Array, capabilities: number): string {
  if ((capabilities & capability.connectWithDb) === 0) return ''
  const user = readNulText(payload, 32)
  let at = user.end
  if ((capabilities & capability.lengthEncodedAuth) !== 0) {
    const auth = readLength(payload, at)
    at = auth === undefined ? payload.length : auth.end + auth.value
  } else if ((capabilities & capability.secureConnection) !== 0) {
    at += 1 + (payload[at] ?? 0)
  } else {
    at = readNulText(payload, at).end
  }
  return at < payload.length ? readNulText(payload, at).text : ''
}
