import type { Server, Socket } from 'node:net'
import { FullspanError } from '../../core/errors.ts'
import { parseEndpoint } from '../../core/units.ts'

/** A server that takes requests. */
export interface OpenServer {
  /** `address:port` it listens on, the port as chosen where the config says 0. */
  readonly address: string
  /** Takes no new connections and requests, answers what it has in hand, then resolves. */
  close(): Promise<void>
}

/** Binds. `endpoint` is `host:port`, without a host all addresses; `key` is what to change where it cannot be had. */
export async function listen(server: Server, endpoint: string, key: string): Promise<string> {
  const { host, port } = parseEndpoint(endpoint) ?? { host: endpoint, port: 0 }
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(cannotListen(error, endpoint, key))
    server.once('error', failed)
    server.listen({ port, ...(host !== '' && { host }) }, () => {
      server.off('error', failed)
      resolve()
    })
  })
  const bound = server.address()
  return bound !== null && typeof bound === 'object' ? formatAddress(bound.address, bound.port) : endpoint
}

function cannotListen(error: NodeJS.ErrnoException, endpoint: string, key: string): FullspanError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'the address is taken by another program'
      : error.code === 'EACCES'
        ? 'this user may not use that port'
        : error.message
  return new FullspanError({
    code: 'OTLP_CANNOT_LISTEN',
    remedy: 'fix-config',
    message: `otlp cannot listen on ${endpoint}: ${why}. Free it, or set ${key} to another one.`,
    cause: error,
  })
}

/** `address:port` of the sender; IPv4 as IPv4 also where it came through an IPv6 socket. */
export function peerOf(socket: Socket | undefined): string | undefined {
  const { remoteAddress, remotePort } = socket ?? {}
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  return formatAddress(remoteAddress, remotePort)
}

function formatAddress(address: string, port: number): string {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`
}
