import { createServer, type Server } from 'node:http'
import type { Meter } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { FullspanError } from './errors.ts'

/** Our own metrics: meters for components, and a page for Prometheus. */
export interface Telemetry {
  meter(name: string): Meter
  /** `host:port` of the page; undefined where metrics are off. */
  readonly address: string | undefined
  stop(): Promise<void>
}

/** Serves `/metrics`. With level `none` meters work and nothing listens. */
export async function startTelemetry(options: {
  level: string
  host: string
  port: number
}): Promise<Telemetry> {
  const { level, host, port } = options
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [exporter] })
  const server = level === 'none' ? undefined : await serve(exporter, host, port)
  return {
    meter: name => provider.getMeter(name),
    address: server && addressOf(server, host),
    async stop() {
      server?.close()
      server?.closeAllConnections()
      await provider.shutdown()
    },
  }
}

async function serve(exporter: PrometheusExporter, host: string, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] === '/metrics') return exporter.getMetricsRequestHandler(request, response)
    response.writeHead(404, { 'content-type': 'text/plain' }).end('Metrics are at /metrics.\n')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(cannotListen(error, host, port)))
    server.listen(port, host === '' ? undefined : host, resolve)
  })
  server.unref()
  return server
}

function addressOf(server: Server, host: string): string {
  const address = server.address()
  return typeof address === 'object' && address ? `${host}:${address.port}` : host
}

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number): FullspanError {
  const why = cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message
  return new FullspanError({
    code: 'TELEMETRY_CANNOT_LISTEN',
    remedy: 'fix-config',
    message: `Our own metrics cannot be served on ${host}:${port}: ${why}. Set service.telemetry.metrics.address to another, or service.telemetry.metrics.level to "none".`,
    cause,
  })
}
