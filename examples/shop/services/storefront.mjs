// storefront: Node with the OpenTelemetry SDK. Reads the price from Redis, places the order with `orders`.
import { NodeSDK } from '@opentelemetry/sdk-node'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis'
import { createRequire } from 'node:module'

const exporter = new OTLPTraceExporter({ url: process.env.OTLP_URL })
new NodeSDK({
  serviceName: 'storefront',
  spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 500 })],
  instrumentations: [new HttpInstrumentation(), new IORedisInstrumentation()],
  metricReaders: [],
  logRecordProcessors: [],
}).start()

// After the SDK has started, and by require: its instrumentations patch what is required from now on.
const require = createRequire(import.meta.url)
const http = require('node:http')
const Redis = require('ioredis')

const redis = new Redis({ host: process.env.REDIS_HOST, port: 6379, enableReadyCheck: false })

http
  .createServer(async (request, response) => {
    try {
      const item = new URL(request.url, 'http://storefront').searchParams.get('item') ?? 'tea'
      const price = await redis.get(`price:${item}`)
      const order = await call(`http://orders.demo/order?item=${item}`)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ item, price, order: JSON.parse(order) }))
    } catch (error) {
      response.writeHead(502).end(String(error))
    }
  })
  .listen(8080, '0.0.0.0')

/** A connection of its own for every call, so that each resolves the name. */
function call(url) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { agent: false }, response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', text => (body += text))
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(body)
          : reject(new Error(`orders answered ${response.statusCode}`)),
      )
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
