import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { ReceiverContext } from '../../core/component.ts'
import { codingsOf, inflate } from '../../formats/otlp/compression.ts'
import type { SegmentIntake } from './intake.ts'
import { cannotListen } from './serve-grpc.ts'
import { otherPaths } from './services.ts'

interface HttpConfig {
  readonly endpoint: string
  readonly max_request_body_size: number
}

/** Binds the port and serves `/v3/segment` (one) and `/v3/segments` (a list). Resolves to a function that stops. */
export async function serveHttp(
  config: HttpConfig,
  intake: SegmentIntake,
  { logger }: ReceiverContext,
): Promise<() => Promise<void>> {
  const server = createServer((request, response) => {
    serve(request, response, config, intake).catch((error: unknown) => {
      logger.debug({ problem: String(error) }, 'A request was cut off.')
      response.destroy()
    })
  })
  await listen(server, config.endpoint)
  return () =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeIdleConnections()
    })
}

function listen(server: ReturnType<typeof createServer>, endpoint: string): Promise<void> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(endpoint) ?? []
  return new Promise((resolve, reject) => {
    server.once('error', error =>
      reject(cannotListen(endpoint, 'receivers.skywalking.protocols.http.endpoint', error)),
    )
    server.listen(Number(port), host.replace(/^\[|\]$/g, ''), resolve)
  })
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  config: HttpConfig,
  intake: SegmentIntake,
): Promise<void> {
  const [status, problem] = await answerTo(request, response, config, intake)
  if (status === 405) response.setHeader('allow', 'POST')
  if (!request.complete) request.resume()
  // SkyWalking's own server answers a list of commands; agents look at the status alone.
  const body = problem === undefined ? '{}' : JSON.stringify({ error: problem })
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}

async function answerTo(
  request: IncomingMessage,
  response: ServerResponse,
  config: HttpConfig,
  intake: SegmentIntake,
): Promise<[status: number, problem?: string]> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  const takesSegments = path === '/v3/segment' || path === '/v3/segments'
  if (!takesSegments && !otherPaths.has(path)) return [404, `There is no ${path} here.`]
  if (request.method !== 'POST') return [405, `${path} takes POST.`]
  const body = await readBody(request, config.max_request_body_size)
  if (!body)
    return [
      413,
      `The body is larger than ${config.max_request_body_size} bytes, or not compressed as it says.`,
    ]
  if (!takesSegments) return [200]
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf8', { fatal: true }).decode(body))
  } catch (error) {
    return [400, `The body is not JSON: ${error instanceof Error ? error.message : String(error)}`]
  }
  const problem = await takeSegments(json, request, response, intake)
  return problem === undefined ? [200] : [400, problem]
}

/** Takes every segment that is one; says what is wrong with the first that is not. */
async function takeSegments(
  json: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  intake: SegmentIntake,
): Promise<string | undefined> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const peer = `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? 0}`
  let first: string | undefined
  const segments: readonly unknown[] = Array.isArray(json) ? json : [json]
  for (const [at, segment] of segments.entries()) {
    const problem = await intake.takeJson(segment, { peer, gone: gone.signal })
    if (problem !== undefined) first ??= `Segment ${at} was refused: ${problem}. The others were taken.`
  }
  return first
}

/** Undefined if the body, or what it inflates to, is over the limit. */
async function readBody(request: IncomingMessage, limit: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request) {
    if (!(chunk instanceof Uint8Array)) continue
    size += chunk.length
    if (size <= limit) chunks.push(chunk)
    else if (size > limit * 2) return undefined
  }
  if (size > limit) return undefined
  const codings = codingsOf(request.headers['content-encoding'])
  return codings && inflate(Buffer.concat(chunks), codings, limit).catch(() => undefined)
}
