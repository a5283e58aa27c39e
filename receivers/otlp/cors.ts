import type { IncomingMessage, ServerResponse } from 'node:http'

export interface CorsSettings {
  readonly allowed_origins: readonly string[]
  readonly allowed_headers: readonly string[]
  readonly exposed_headers: readonly string[]
  /** Seconds. */
  readonly max_age: number
}

/** Sets the headers of cross-origin requests; true if it was a preflight and has been answered. */
export type Cors = (request: IncomingMessage, response: ServerResponse) => boolean

/** CORS (fetch.spec.whatwg.org) for browsers that send telemetry themselves. Without allowed origins nothing is set. */
export function createCors(settings: CorsSettings | undefined): Cors {
  if (!settings || settings.allowed_origins.length === 0) return () => false
  const patterns = settings.allowed_origins.map(patternOf)
  const headers = [...defaultHeaders, ...settings.allowed_headers].join(', ')
  return (request, response) => {
    const { origin } = request.headers
    response.setHeader('vary', 'Origin')
    if (origin === undefined || !patterns.some(pattern => pattern.test(origin))) return false
    response.setHeader('access-control-allow-origin', origin)
    response.setHeader('access-control-allow-credentials', 'true')
    if (settings.exposed_headers.length > 0) {
      response.setHeader('access-control-expose-headers', settings.exposed_headers.join(', '))
    }
    const isPreflight =
      request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined
    if (!isPreflight) return false
    response.setHeader('access-control-allow-methods', 'POST')
    response.setHeader('access-control-allow-headers', headers)
    if (settings.max_age > 0) response.setHeader('access-control-max-age', String(settings.max_age))
    response.writeHead(204).end()
    return true
  }
}

const defaultHeaders = ['Accept', 'Content-Type', 'Content-Encoding', 'X-Requested-With']

/** `https://*.example.com`: a star is any text. */
function patternOf(origin: string): RegExp {
  const parts = origin.split('*').map(part => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.*')}$`, 'i')
}
