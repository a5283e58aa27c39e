import fc from 'fast-check'
import t from 'tap'
import tls from '../../protocols/tls/index.ts'
import { converse, cutPieces } from '../helpers/conversation.ts'
import type { Piece, PlainExchange } from '../helpers/conversation.ts'
import * as records from '../helpers/tls-records.ts'

const client = (...parts: readonly Uint8Array[]): Piece => ({ from: 'client', bytes: Buffer.concat(parts) })
const server = (...parts: readonly Uint8Array[]): Piece => ({ from: 'server', bytes: Buffer.concat(parts) })
const names = (found: readonly PlainExchange[]): string[] => found.map(({ name }) => name)

const hello = records.clientHello('shop.example')
const flight = [
  records.serverHello('1.3'),
  records.changeCipherSpec,
  records.sealed(900, 4),
  records.finished,
]
const { ticket, sealed, changeCipherSpec, finished } = records
/** As OpenSSL speaks: the tickets come when the first request is under way. */
const conversation: Piece[] = [
  client(hello),
  server(...flight),
  client(changeCipherSpec, finished, sealed(100, 5)),
  server(ticket(6), ticket(7), sealed(200, 8)),
  client(sealed(50, 9)),
  server(sealed(60, 10), sealed(61, 11)),
  client(records.alert),
]
const sizeOf = (...parts: readonly Uint8Array[]): number => Buffer.concat(parts).length

t.test('handshake and turns are exchanges; Finished, tickets and alerts are none', t => {
  const found = converse([tls], conversation)
  t.same(names(found), ['TLS handshake', 'TLS', 'TLS'])
  const first = sizeOf(hello, changeCipherSpec, finished)
  t.same(
    found.map(({ request }) => request),
    [
      [0, hello.length],
      [first, sizeOf(sealed(100, 5))],
      [first + sizeOf(sealed(100, 5)), sizeOf(sealed(50, 9))],
    ],
  )
  const response = sizeOf(...flight, ticket(6), ticket(7))
  t.same(found[1]!.response, [response, sizeOf(sealed(200, 8))])
  t.same(found[2]!.response, [response + sizeOf(sealed(200, 8)), sizeOf(sealed(60, 10), sealed(61, 11))])
  t.match(found[1]!.attributes, {
    'network.protocol.name': 'tls',
    'fullspan.tls': 'records',
    'tls.protocol.name': 'tls',
    'tls.protocol.version': '1.3',
    'tls.cipher': 'TLS_AES_256_GCM_SHA384',
    'tls.client.server_name': 'shop.example',
  })
  for (const { hashes } of found) for (const hash of hashes) t.match(hash, /^[0-9a-f]{16}$/)
  t.end()
})

t.test('tickets that come before the request, wholly or in part, are no response', t => {
  for (const early of [1, 2]) {
    const tickets = [ticket(6), ticket(7)]
    const found = converse(
      [tls],
      [
        client(hello),
        server(...flight),
        client(changeCipherSpec, finished),
        server(...tickets.slice(0, early)),
        client(sealed(100, 5)),
        server(...tickets.slice(early), sealed(200, 8)),
      ],
    )
    t.same(names(found), ['TLS handshake', 'TLS'])
    t.equal(found[1]!.response?.[1], sizeOf(sealed(200, 8)), `${early} of 2`)
  }
  t.end()
})

t.test('TLS 1.2 says in the clear where the handshake ends, and what is spoken', t => {
  const found = converse(
    [tls],
    [
      client(hello),
      server(records.serverHello('1.2'), records.record(22, records.noise(300, 4))),
      client(
        records.record(22, records.noise(70, 5)),
        changeCipherSpec,
        records.record(22, records.noise(40, 6)),
      ),
      server(changeCipherSpec, records.record(22, records.noise(40, 7))),
      client(sealed(30, 8)),
      server(sealed(30, 9)),
    ],
  )
  t.same(names(found), ['TLS handshake', 'TLS'])
  t.match(found[1]!.attributes, {
    'tls.protocol.version': '1.2',
    'tls.cipher': 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'tls.next_protocol': 'h2',
  })
  t.end()
})

t.test('a handshake that is never answered is one exchange without response', t => {
  const found = converse([tls], [client(hello)])
  t.same(names(found), ['TLS handshake'])
  t.same(found[0]!.incomplete, ['no_response'])
  t.end()
})

t.test('finds the same however the bytes are cut', t => {
  const plain = (found: readonly PlainExchange[]): unknown[] =>
    found.map(({ name, request, response, attributes }) => ({ name, request, response, attributes }))
  const whole = plain(converse([tls], conversation))
  fc.assert(
    fc.property(fc.array(fc.nat(4000), { maxLength: 12 }), cuts => {
      t.same(plain(converse([tls], cutPieces(conversation, cuts))), whole)
    }),
    { numRuns: 100 },
  )
  t.end()
})

t.test('what was not captured of a record does not matter; a hole within a header is waited out', t => {
  const body = sealed(5000, 3)
  const found = converse(
    [tls],
    [
      client(hello),
      server(...flight),
      client(changeCipherSpec, finished, sealed(100, 5)),
      { from: 'server', bytes: body, seen: 64 },
      { from: 'server', bytes: Buffer.concat([sealed(900, 2), sealed(900, 2)]), seen: 700 },
      client(sealed(40, 5)),
      server(sealed(70, 6)),
    ],
  )
  t.same(names(found), ['TLS handshake', 'TLS', 'TLS'])
  t.equal(found[1]!.response?.[1], sizeOf(body, sealed(900, 2), sealed(900, 2)))
  t.end()
})

t.test('never fails on hostile bytes', t => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.uint8Array({ minLength: 1, maxLength: 80 })), { maxLength: 20 }),
      fc.nat(120),
      (noise, cut) => {
        const from = (isClient: boolean): Piece['from'] => (isClient ? 'client' : 'server')
        const after = noise.map(([isClient, bytes]) => ({ from: from(isClient), bytes }))
        converse([tls], [client(hello), server(...flight), ...after])
        const truncated = Buffer.from(hello.subarray(0, cut))
        converse([tls], [client(truncated), ...after])
        const short = Buffer.concat([truncated.subarray(0, 5), Buffer.from(noise[0]?.[1] ?? [])])
        if (short.length >= 5) short.writeUInt16BE(short.length - 5, 3)
        converse([tls], [client(short), server(records.serverHello('1.3').subarray(0, cut))])
        return true
      },
    ),
    { numRuns: 200 },
  )
  t.end()
})
