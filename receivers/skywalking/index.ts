import { Observable } from 'rxjs'
import { defineReceiver, type Intake } from '../../core/component.ts'
import { createIntake } from './intake.ts'
import { serveGrpc } from './serve-grpc.ts'
import { serveHttp } from './serve-http.ts'

/**
 * Takes segments of SkyWalking agents, by gRPC and by HTTP, and answers every other call that agents make, so that none logs an
 * error. Segments become OTLP with nothing lost (formats/skywalking). While Fullspan is full, agents' streams are not read on.
 */
export default defineReceiver({
  type: 'skywalking',
  description: 'Segments from SkyWalking agents, by gRPC and HTTP.',
  stability: 'alpha',
  signals: ['traces'],
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      protocols: {
        type: 'object',
        additionalProperties: false,
        default: { grpc: {}, http: {} },
        description: 'Which protocols are served: those that are named.',
        properties: {
          grpc: {
            type: 'object',
            additionalProperties: false,
            description: 'gRPC, as most agents speak it.',
            properties: {
              endpoint: {
                type: 'string',
                format: 'endpoint',
                default: 'localhost:11800',
                description: 'Address to listen on.',
              },
              max_recv_msg_size_mib: {
                type: 'integer',
                minimum: 1,
                default: 50,
                description: "Largest message, in MiB. SkyWalking's own server takes 50.",
              },
            },
          },
          http: {
            type: 'object',
            additionalProperties: false,
            description: 'HTTP with JSON: `/v3/segment` and `/v3/segments`.',
            properties: {
              endpoint: {
                type: 'string',
                format: 'endpoint',
                default: 'localhost:12800',
                description: 'Address to listen on.',
              },
              max_request_body_size: {
                type: 'string',
                format: 'size',
                default: '50MiB',
                description: 'Largest body, also after decompression.',
              },
            },
          },
        },
      },
    },
  },
  async create({ protocols }, context) {
    let emit: ((intake: Intake) => void) | undefined
    const intake = createIntake(context, taken => emit?.(taken))
    const stops: (() => Promise<void>)[] = []
    try {
      if (protocols.grpc) {
        stops.push(await serveGrpc(protocols.grpc, intake))
        context.logger.info({ address: protocols.grpc.endpoint }, 'SkyWalking/gRPC is listening')
      }
      if (protocols.http) {
        stops.push(await serveHttp(protocols.http, intake, context))
        context.logger.info({ address: protocols.http.endpoint }, 'SkyWalking/HTTP is listening')
      }
    } catch (error) {
      await Promise.all(stops.map(stop => stop()))
      throw error
    }
    return new Observable<Intake>(subscriber => {
      emit = taken => subscriber.next(taken)
      const stop = async () => {
        await Promise.all(stops.map(each => each()))
        subscriber.complete()
      }
      const onStop = () => void stop()
      if (context.stopping.aborted) onStop()
      else context.stopping.addEventListener('abort', onStop, { once: true })
      return () => context.stopping.removeEventListener('abort', onStop)
    })
  },
})
