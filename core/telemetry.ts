import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Meter } from '@opentelemetry/api'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { FullspanError } from './errors.ts'

/** Our own metrics: meters for components, and a page for Prometheus. */
export interface Telemetry {
  meter(name: string): Meter
  /** `host:port` of the page; undefined where metrics are off. */
  readonly address: string | undefined
  stop(): Promise<void>
}

export interface TelemetrySettings {
  /** `none` opens no port; meters work all the same. */
  readonly level: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Counters without the ending `_total`, as the Collector's own page has them. */
  readonly withoutTypeSuffix: boolean
}

/** Serves `/metrics`. */
export async function startTelemetry(settings: TelemetrySettings): Promise<Telemetry> {
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [exporter] })
  const page = (): Promise<string> => metricsPage(exporter, settings.withoutTypeSuffix)
  const server = settings.level === 'none' ? undefined : await serve(page, settings)
  return {
    meter: name => provider.getMeter(name),
    address: server && addressOf(server, settings.host),
    async stop() {
      server?.close()
      server?.closeAllConnections()
      await provider.shutdown()
    },
  }
}

async function metricsPage(exporter: PrometheusExporter, withoutTypeSuffix: boolean): Promise<string> {
  const { resourceMetrics } = await exporter.collect()
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true)
  // UNIT is OpenMetrics; in this format it is noise.
  const text = serializer.serialize(resourceMetrics).replaceAll(/^# UNIT .*\n/gm, '')
  return withoutTypeSuffix ? withoutTotal(text) : text
}

/** The serializer adds `_total` to every counter; a name that ends so by itself is not among ours. */
function withoutTotal(text: string): string {
  return text.replaceAll(/^(# (?:HELP|TYPE) )?([a-zA-Z_:][\w:]*?)_total(?=[ {])/gm, '$1$2')
}

async function serve(page: () => Promise<string>, { host, port }: TelemetrySettings): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') return answer(response, 404, 'Metrics are at /metrics.\n')
    page().then(
      text => answer(response, 200, text),
      (error: unknown) => answer(response, 500, `${String(error)}\n`),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(cannotListen(error, host, port)))
    server.listen(port, host === '' ? undefined : host, resolve)
  })
  server.unref()
  return server
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
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
