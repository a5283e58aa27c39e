/**
 * The bare relay of design §4, the floor under every relay on Node: `node:http` → count the spans in the bytes → undici, or unary
 * calls straight on `node:http2`. It checks nothing, keeps nothing and answers when the other side has. Its own process:
 * `node bare.js http|grpc OWN_PORT TARGET_PORT`.
 */
import { createServer } from 'node:http'
import { Pool } from 'undici'
import { countItems } from '../../formats/otlp/count.ts'
import { callGrpc, openGrpcSession } from './grpc-client.ts'
import { createGrpcServer } from './grpc-server.ts'
import { tracePaths } from './messages.ts'

const [protocol, ownPort, targetPort] = process.argv.slice(2)
const spans = { seen: 0 }

if (protocol === 'http') relayHttp(Number(ownPort), Number(targetPort))
else relayGrpc(Number(ownPort), Number(targetPort))
process.once('SIGTERM', () => process.exit(0))

function relayHttp(port: number, target: number): void {
  const pool = new Pool(`http://127.0.0.1:${target}`, { connections: 10 })
  const headers = { 'content-type': 'application/x-protobuf' }
  createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      spans.seen += countItems('traces', body)
      pool
        .request({ method: 'POST', path: tracePaths.http, headers, body })
        .then(async reply => {
          await reply.body.dump()
          response.writeHead(reply.statusCode, { ...headers, 'content-length': 0 }).end()
        })
        .catch(() => response.writeHead(503).end())
    })
  }).listen(port, '127.0.0.1')
}

function relayGrpc(port: number, target: number): void {
  const session = openGrpcSession(target)
  createGrpcServer(async message => {
    spans.seen += countItems('traces', message)
    await callGrpc(session, message)
  }).listen(port, '127.0.0.1')
}
