import assert from 'node:assert/strict'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { jsonRequest, newMarker, protobufRequest, type SignalInfo, traces } from '../harness/messages.ts'
import type { Chapter } from '../sentence.ts'
import {
  assertCode,
  assertFailure,
  assertNotDelivered,
  assertOk,
  assertSuccess,
  callGrpc,
  postJson,
  postProtobuf,
  type ServerWorld,
} from './world.ts'

const grpcCodes = { internal: 13, unimplemented: 12 }

type Coder = (bytes: Uint8Array) => Uint8Array
const plain: Coder = bytes => bytes

/** Sends one span in this coding and expects it at the back end. */
const takenAs = (contentEncoding: string, code: Coder) => async (world: ServerWorld) => {
  const marker = newMarker()
  const headers = { 'content-encoding': contentEncoding }
  assertSuccess(await postProtobuf(world.main, traces, code(protobufRequest(traces, marker)), headers))
  await world.sink.find(marker)
}

/** Sends a body that is not what its coding says: 400 with a Status, nothing delivered. */
const refusedAs =
  (contentEncoding: string, code: (whole: Buffer) => Uint8Array) => async (world: ServerWorld) => {
    const marker = newMarker()
    const body = code(gzipSync(protobufRequest(traces, marker)))
    const headers = { 'content-encoding': contentEncoding }
    assertFailure(await postProtobuf(world.main, traces, body, headers), 400)
    await assertNotDelivered(world, marker)
  }

function members(bytes: Uint8Array): Uint8Array {
  const third = Math.ceil(bytes.length / 3)
  const parts = [0, 1, 2].map(index => gzipSync(bytes.subarray(index * third, (index + 1) * third)))
  return Buffer.concat(parts)
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at]! ^ 0xff
  return copy
}

const viaGrpc = (code: Coder, flag: number, headers: object) => async (world: ServerWorld) => {
  const marker = newMarker()
  const message = code(protobufRequest(traces, marker))
  assertOk(await callGrpc(world.main, traces, message, { flag, headers: { ...headers } }))
  await world.sink.find(marker)
}

const viaJson = (headers: Record<string, string>, code: Coder) => async (world: ServerWorld) => {
  const marker = newMarker()
  assertSuccess(
    await postJson(world.main, traces, code(Buffer.from(jsonRequest(traces, marker))), headers),
    'json',
  )
  await world.sink.find(marker)
}

const grpcFails =
  (headers: object, flag: number, code: Coder, expected: number) => async (world: ServerWorld) => {
    const marker = newMarker()
    const message = code(protobufRequest(traces, marker))
    const reply = await callGrpc(world.main, traces, message, { flag, headers: { ...headers } })
    assertCode(reply, expected)
    await assertNotDelivered(world, marker)
    if (expected === grpcCodes.unimplemented) {
      const accepted = String(reply.headers['grpc-accept-encoding']).split(/, */)
      assert.ok(accepted.includes('gzip') && accepted.includes('identity'), accepted.join())
    }
  }

const unknownCoding =
  (post: typeof postProtobuf, encoding: 'protobuf' | 'json', name: string) =>
  async ({ main }: ServerWorld) => {
    const signal: SignalInfo = traces
    const body = encoding === 'json' ? jsonRequest(signal, newMarker()) : protobufRequest(signal, newMarker())
    const reply = await post(main, signal, body, { 'content-encoding': name })
    assertFailure(reply, 415, encoding)
    assert.match(String(reply.headers['accept-encoding']), /gzip/)
  }

export const compressionChapters: readonly Chapter<ServerWorld>[] = [
  {
    source: 'OTLP 1.11, "Protocol Details"',
    sentences: [
      {
        id: 'compression-none-and-gzip',
        level: 'MUST',
        says: 'A server takes requests without compression and with gzip.',
        checks: {
          'HTTP protobuf, none': takenAs('', plain),
          'HTTP protobuf, gzip': takenAs('gzip', gzipSync),
          'HTTP JSON, none': viaJson({}, plain),
          'HTTP JSON, gzip': viaJson({ 'content-encoding': 'gzip' }, gzipSync),
          'gRPC, no grpc-encoding': viaGrpc(plain, 0, {}),
          'gRPC, grpc-encoding identity': viaGrpc(plain, 0, { 'grpc-encoding': 'identity' }),
          'gRPC, gzip': viaGrpc(gzipSync, 1, { 'grpc-encoding': 'gzip' }),
          'gRPC, gzip named but the message sent plain': viaGrpc(plain, 0, { 'grpc-encoding': 'gzip' }),
        },
      },
    ],
  },
  {
    source: 'RFC 9110 §8.4, content codings',
    sentences: [
      {
        id: 'coding-names-any-case',
        level: 'MUST',
        says: 'Names of content codings mean the same in any case.',
        checks: { GZIP: takenAs('GZIP', gzipSync), 'Gzip, identity': takenAs('Gzip, Identity', gzipSync) },
      },
      {
        id: 'coding-order',
        level: 'MUST',
        says: 'Codings are listed in the order in which they were applied.',
        checks: {
          'identity, gzip': takenAs('identity, gzip', gzipSync),
          'gzip twice': takenAs('gzip, gzip', bytes => gzipSync(gzipSync(bytes))),
          'deflate, then gzip': takenAs('deflate, gzip', bytes => gzipSync(deflateSync(bytes))),
        },
      },
      {
        id: 'coding-x-gzip',
        level: 'SHOULD',
        says: 'x-gzip is gzip.',
        checks: { 'x-gzip': takenAs('x-gzip', gzipSync) },
      },
      {
        id: 'coding-deflate',
        level: 'MAY',
        says: 'deflate is zlib; senders that leave its wrapper out are understood.',
        checks: { zlib: takenAs('deflate', deflateSync), raw: takenAs('deflate', deflateRawSync) },
      },
      {
        id: 'coding-unknown-415',
        level: 'SHOULD',
        says: 'A coding that is not known is answered with 415 and an Accept-Encoding of those that are (§15.5.16).',
        checks: {
          'br, protobuf': unknownCoding(postProtobuf, 'protobuf', 'br'),
          'br, JSON': unknownCoding(postJson, 'json', 'br'),
          'no coding at all': unknownCoding(postProtobuf, 'protobuf', 'gzip, !'),
        },
      },
    ],
  },
  {
    source: 'RFC 1952, gzip',
    sentences: [
      {
        id: 'gzip-members',
        level: 'MUST',
        says: 'A gzip body may have several members; what they hold is joined (§2.2).',
        checks: {
          'three members': takenAs('gzip', members),
          'an empty member at the end': takenAs('gzip', bytes =>
            Buffer.concat([gzipSync(bytes), gzipSync('')]),
          ),
          'an empty member at the start': takenAs('gzip', bytes =>
            Buffer.concat([gzipSync(''), gzipSync(bytes)]),
          ),
          'three members by gRPC': viaGrpc(members, 1, { 'grpc-encoding': 'gzip' }),
        },
      },
      {
        id: 'gzip-broken',
        level: 'MUST',
        says: 'A body that is no whole gzip is bad data: no part of it is delivered.',
        checks: {
          'not gzip at all': refusedAs('gzip', () => Buffer.from('plain text')),
          'no byte at all': refusedAs('gzip', () => Buffer.alloc(0)),
          'cut off': refusedAs('gzip', whole => whole.subarray(0, whole.length - 12)),
          'without its trailer': refusedAs('gzip', whole => whole.subarray(0, whole.length - 8)),
          'one byte short': refusedAs('gzip', whole => whole.subarray(0, whole.length - 1)),
          'a wrong checksum': refusedAs('gzip', whole => flipped(whole, whole.length - 8)),
          'a wrong length': refusedAs('gzip', whole => flipped(whole, whole.length - 1)),
          'a broken header': refusedAs('gzip', whole => flipped(whole, 2)),
          'a second member cut off': refusedAs('gzip', whole =>
            Buffer.concat([whole, whole.subarray(0, 15)]),
          ),
          'garbage behind it': refusedAs('gzip', whole => Buffer.concat([whole, Buffer.from('garbage')])),
          'gzip named once, applied twice': refusedAs('gzip', gzipSync),
        },
      },
    ],
  },
  {
    source: 'gRPC compression.md and PROTOCOL-HTTP2.md',
    sentences: [
      {
        id: 'grpc-compression-unknown',
        level: 'MUST',
        says: 'A message compressed in a way that the server does not know fails with UNIMPLEMENTED and says what it knows.',
        checks: {
          snappy: grpcFails({ 'grpc-encoding': 'snappy' }, 1, plain, grpcCodes.unimplemented),
          'zstd, with a body that is gzip': grpcFails(
            { 'grpc-encoding': 'zstd' },
            1,
            gzipSync,
            grpcCodes.unimplemented,
          ),
        },
      },
      {
        id: 'grpc-compressed-flag-alone',
        level: 'MUST',
        says: 'A compressed flag without a grpc-encoding, or with identity, is INTERNAL.',
        checks: {
          'no grpc-encoding': grpcFails({}, 1, gzipSync, grpcCodes.internal),
          identity: grpcFails({ 'grpc-encoding': 'identity' }, 1, gzipSync, grpcCodes.internal),
        },
      },
      {
        id: 'grpc-compressed-broken',
        level: 'MUST',
        says: 'A message that cannot be inflated fails and is not delivered.',
        checks: {
          'not gzip': grpcFails({ 'grpc-encoding': 'gzip' }, 1, plain, grpcCodes.internal),
          'gzip cut off': grpcFails(
            { 'grpc-encoding': 'gzip' },
            1,
            bytes => gzipSync(bytes).subarray(0, 30),
            grpcCodes.internal,
          ),
        },
      },
    ],
  },
]
