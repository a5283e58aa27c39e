import grpc from '@grpc/grpc-js'
import { FullspanError } from '../../core/errors.ts'
import { splitCollection } from '../../formats/skywalking/segment.ts'
import type { SegmentIntake, Sender } from './intake.ts'
import { otherCalls, segmentService, withoutPackage } from './services.ts'

/** An empty `Commands` message: what every call is answered with. */
const noCommands = Buffer.alloc(0)

type Unary = grpc.handleUnaryCall<Buffer, Buffer>
type Stream = grpc.handleClientStreamingCall<Buffer, Buffer>

/** Binds the port and serves. Resolves to a function that takes no new calls, lets those that are there end, and closes. */
export async function serveGrpc(
  config: { readonly endpoint: string; readonly max_recv_msg_size_mib: number },
  intake: SegmentIntake,
): Promise<() => Promise<void>> {
  // It writes to standard error by itself; what matters comes as an error.
  grpc.setLogVerbosity(grpc.logVerbosity.NONE)
  const server = new grpc.Server({
    'grpc.max_receive_message_length': config.max_recv_msg_size_mib * 1024 * 1024,
  })
  addService(server, segmentService, {
    collect: ['stream', collect(intake)],
    collectInSync: ['unary', collectInSync(intake)],
  })
  for (const [service, methods] of Object.entries(otherCalls)) {
    const handlers = Object.entries(methods).map(
      ([name, kind]): [string, ['unary', Unary] | ['stream', Stream]] => [
        name,
        kind === 'unary' ? ['unary', answerUnary] : ['stream', answerStream],
      ],
    )
    addService(server, service, Object.fromEntries(handlers))
  }
  await bind(server, config.endpoint)
  return () => shutDown(server)
}

function bind(server: grpc.Server, endpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(endpoint, grpc.ServerCredentials.createInsecure(), error => {
      if (!error) resolve()
      else reject(cannotListen(endpoint, 'receivers.skywalking.protocols.grpc.endpoint', error))
    })
  })
}

export function cannotListen(endpoint: string, key: string, cause: Error): FullspanError {
  const reason = /EADDRINUSE/.test(cause.message) ? 'the port is taken' : cause.message
  return new FullspanError({
    code: 'SKYWALKING_CANNOT_LISTEN',
    remedy: 'fix-config',
    message: `skywalking cannot listen on ${endpoint}: ${reason}. Stop what listens there, or set ${key} to another address.`,
    cause,
  })
}

/** Calls that are still open after this long are cut. Agents' streams last up to 30 s. */
const graceMs = 2000

function shutDown(server: grpc.Server): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, graceMs)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

function addService(
  server: grpc.Server,
  service: string,
  methods: Readonly<Record<string, ['unary', Unary] | ['stream', Stream]>>,
): void {
  for (const name of [service, withoutPackage(service)]) {
    const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {}
    const handlers: Record<string, Unary | Stream> = {}
    for (const [method, [kind, handler]] of Object.entries(methods)) {
      definition[method] = {
        path: `/${name}/${method}`,
        requestStream: kind === 'stream',
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      }
      handlers[method] = handler
    }
    server.addService(definition, handlers)
  }
}

function identity(bytes: Buffer): Buffer {
  return bytes
}

/** Reads one segment at a time: while it waits for room, HTTP/2's flow control makes the agent wait. Answers at the end. */
function collect(intake: SegmentIntake): Stream {
  return (call, answer) => {
    const sender = senderOf(call)
    const readAll = async () => {
      for await (const bytes of call) if (bytes instanceof Uint8Array) await intake.takeBytes(bytes, sender)
    }
    readAll().then(
      () => answer(null, noCommands),
      () => undefined, // The call was cancelled: there is nobody to answer.
    )
  }
}

function collectInSync(intake: SegmentIntake): Unary {
  return (call, answer) => {
    const sender = senderOf(call)
    const takeAll = async () => {
      for (const bytes of splitCollection(call.request)) await intake.takeBytes(bytes, sender)
    }
    takeAll().then(
      () => answer(null, noCommands),
      (error: unknown) =>
        // Not UNKNOWN, which agents take for a broken network.
        answer({ code: grpc.status.INVALID_ARGUMENT, details: `not a SegmentCollection: ${String(error)}` }),
    )
  }
}

function senderOf(
  call: grpc.ServerUnaryCall<Buffer, Buffer> | grpc.ServerReadableStream<Buffer, Buffer>,
): Sender {
  const gone = new AbortController()
  call.on('cancelled', () => gone.abort())
  return { peer: call.getPeer(), gone: gone.signal }
}

const answerUnary: Unary = (_call, answer) => answer(null, noCommands)

const answerStream: Stream = (call, answer) => {
  call.on('data', () => undefined)
  call.on('error', () => undefined)
  call.on('end', () => answer(null, noCommands))
}
