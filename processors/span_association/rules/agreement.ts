import { names } from '../../../model/attribute-names.ts'
import type { AttributeReader } from '../../../model/picked-attributes.ts'
import type { AppSpan, SightSpan } from '../held.ts'

/** What an APP span or a SYS sight knows of its exchange; undefined where it knows nothing of it. */
export interface Facts {
  readonly protocol: string | undefined
  readonly method: string | undefined
  readonly status: number | undefined
  readonly path: string | undefined
  readonly operation: string | undefined
  readonly serverPort: number | undefined
}

/** Attribute names: today's semantic conventions, those before 1.21 (`net.peer.*`, `http.method`), and SkyWalking's tags. */
export function factsOfApp(app: AttributeReader, side: 'client' | 'server'): Facts {
  return {
    protocol: protocolOfApp(app),
    method: upper(app, ['http.request.method', 'http.method']),
    status: numeric(app, ['http.response.status_code', 'http.status_code']),
    path: pathOf(app),
    operation: databaseOperation(app),
    serverPort: side === 'client' ? serverPort(app) : undefined,
  }
}

export function factsOfSight(sight: AttributeReader): Facts {
  return {
    protocol: protocolOfSight(sight),
    method: upper(sight, [names.httpRequestMethod]),
    status: sight.number(names.httpResponseStatusCode),
    path: sight.text(names.urlPath) || undefined,
    operation: upper(sight, [names.dbOperationName]),
    serverPort: sight.number(names.serverPort),
  }
}

/**
 * Whether an APP span and a SYS span can be the same exchange by what both know of it, and at least one thing they know is the
 * same.
 */
export function agree({ facts: app }: AppSpan, { facts: sight }: SightSpan): boolean {
  if (!app || !sight) return false
  let equal = 0
  for (const key of factKeys) {
    const ours = app[key]
    const theirs = sight[key]
    if (ours === undefined || theirs === undefined) continue
    if (ours !== theirs) return false
    equal++
  }
  return equal > 0
}

const factKeys = ['protocol', 'method', 'status', 'path', 'operation', 'serverPort'] as const

/** `address|port` of the client's end as a SERVER span names it, if the port is one. */
export function peerOfServer(app: AttributeReader): string | undefined {
  const address = first(app, ['network.peer.address', 'net.sock.peer.addr', 'net.peer.ip', 'client.address'])
  const port = numeric(app, ['network.peer.port', 'net.sock.peer.port', 'net.peer.port', 'client.port'])
  if (address === undefined || port === undefined) return undefined
  return `${address.replace(/^::ffff:(?=\d+\.)/, '')}|${port}`
}

function serverPort(app: AttributeReader): number | undefined {
  return numeric(app, ['server.port', 'network.peer.port', 'net.peer.port', 'net.sock.peer.port'])
}

/** `http`, `redis`, `sql`, …: only as fine as both sides can tell. */
function protocolOfApp(app: AttributeReader): string | undefined {
  const database = first(app, ['db.system.name', 'db.system', 'db.type'])
  if (database !== undefined) return family(database)
  return first(app, ['http.request.method', 'http.method', 'url.full', 'http.url']) === undefined
    ? undefined
    : 'http'
}

function protocolOfSight(sight: AttributeReader): string | undefined {
  const database = first(sight, [names.dbSystemName])
  if (database !== undefined) return family(database)
  const name = first(sight, [names.networkProtocolName])
  return name === 'tls' ? undefined : name // what is within it, it does not say
}

function family(database: string): string {
  const name = database.toLowerCase()
  return name === 'mysql' || name === 'mariadb' || name === 'sql' ? 'sql' : name
}

function pathOf(app: AttributeReader): string | undefined {
  const path = first(app, ['url.path', 'http.target', 'url.full', 'http.url', 'url'])
  if (path === undefined) return undefined
  const afterHost = /^[a-z]+:\/\/[^/?#]*/i.exec(path)
  const rest = afterHost ? path.slice(afterHost[0].length) : path.startsWith('/') ? path : undefined
  if (rest === undefined) return undefined
  return rest.split(/[?#]/, 1)[0] || '/'
}

/** A Redis command or an SQL verb, in capitals. */
function databaseOperation(app: AttributeReader): string | undefined {
  const named = upper(app, ['db.operation.name', 'db.operation'])
  if (named !== undefined) return named
  const text = first(app, ['db.query.text', 'db.statement'])
  return text === undefined ? undefined : /^\s*([a-z]+)/i.exec(text)?.[1]?.toUpperCase()
}

function upper(span: AttributeReader, keys: readonly string[]): string | undefined {
  return first(span, keys)?.toUpperCase()
}

function first(span: AttributeReader, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value = span.text(key)
    if (value !== '') return value
  }
  return undefined
}

function numeric(span: AttributeReader, keys: readonly string[]): number | undefined {
  for (const key of keys) {
    const value = span.attribute(key)
    if (typeof value === 'number') return value
    if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  }
  return undefined
}
