/** The back end: takes everything by HTTP and gRPC, and counts the spans. Its own process; says where it listens. */
import { createServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { countItems } from '../../formats/otlp/count.ts'
import { createGrpcServer } from './grpc-server.ts'
import type { SinkReport } from './messages.ts'

let spans = 0

const http = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    spans += countItems('traces', Buffer.concat(chunks))
    response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 }).end()
  })
})
const grpc = createGrpcServer(message => {
  spans += countItems('traces', message)
})

const report = (message: SinkReport): void => void process.send?.(message)
const ports = await Promise.all([listen(http), listen(grpc)])
report({ kind: 'listening', http: ports[0], grpc: ports[1] })
process.on('message', () => report({ kind: 'count', spans }))
process.once('disconnect', () => process.exit(0))

function listen(server: Pick<Server, 'listen' | 'address'>): Promise<number> {
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}
