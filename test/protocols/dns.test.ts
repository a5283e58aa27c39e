import fc from 'fast-check'
import t from 'tap'
import dns from '../../protocols/dns/index.ts'
import { converse, cutPieces } from '../helpers/conversation.ts'
import type { Piece } from '../helpers/conversation.ts'

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex')
const name = (text: string): string =>
  text
    .split('.')
    .map(label => byte(label.length) + Buffer.from(label).toString('hex'))
    .join('') + '00'
const byte = (value: number): string => value.toString(16).padStart(2, '0')
const question = (id: string, domain: string, type = '0001'): Uint8Array =>
  hex(`${id} 0100 0001 0000 0000 0000 ${name(domain)} ${type} 0001`)
const answer = (
  id: string,
  domain: string,
  records: string[],
  { type = '0001', rcode = '0' } = {},
): Uint8Array =>
  hex(
    `${id} 818${rcode} 0001 ${byte(0)}${byte(records.length)} 0000 0000 ${name(domain)} ${type} 0001 ${records.join('')}`,
  )
const a = (address: string): string => `c00c 0001 0001 0000003c 0004 ${address}`
const client = (bytes: Uint8Array): Piece => ({ from: 'client', bytes })
const server = (bytes: Uint8Array): Piece => ({ from: 'server', bytes })
const udp = { transport: 'udp' as const }
const framed = (bytes: Uint8Array): Uint8Array =>
  Buffer.concat([hex(bytes.length.toString(16).padStart(4, '0')), bytes])

t.test('A and AAAA on one socket are paired by id and question', t => {
  const aaaa = `c00c 001c 0001 0000003c 0010 fd000000000000000000000000000001`
  const found = converse(
    [dns],
    [
      client(question('0001', 'stock.shop')),
      client(question('0002', 'stock.shop', '001c')),
      server(answer('0002', 'Stock.shop', [aaaa], { type: '001c' })),
      server(answer('0001', 'stock.shop', [`c00c 0005 0001 0000003c 0004 017ac00c`, a('0a000001')])),
    ],
    udp,
  )
  t.match(found, [
    {
      name: 'DNS AAAA',
      attributes: {
        'dns.question.name': 'stock.shop',
        'dns.answers': ['fd00::1'],
        'fullspan.key.message_id': '2 AAAA stock.shop',
      },
    },
    {
      name: 'DNS A',
      attributes: { 'dns.answers': ['z.stock.shop', '10.0.0.1'], 'dns.question.type': 'A' },
      incomplete: [],
      error: '',
    },
  ])
  t.end()
})

t.test('a name that does not exist is an error of the client, a failing server one of both', t => {
  for (const [rcode, error] of [
    ['3', 'NXDOMAIN  (client)'],
    ['2', 'SERVFAIL  (both)'],
  ] as const) {
    const [exchange] = converse(
      [dns],
      [client(question('0001', 'x.y')), server(answer('0001', 'x.y', [], { rcode }))],
      udp,
    )
    t.equal(exchange?.error, error)
  }
  t.end()
})

t.test('the same question asked again is one exchange, and no answer is said', t => {
  const found = converse([dns], [client(question('0001', 'x.y')), client(question('0001', 'x.y'))], udp)
  t.match(found, [{ incomplete: ['no_response'], request: [0, 21] }])
  t.equal(found.length, 1)
  t.end()
})

t.test('by TCP, pipelined, however it is cut', t => {
  const pieces = [
    client(Buffer.concat([framed(question('0001', 'a.b')), framed(question('0002', 'a.b', '001c'))])),
    server(framed(answer('0002', 'a.b', [], { type: '001c' }))),
    server(framed(answer('0001', 'a.b', [a('01020304')]))),
  ]
  fc.assert(
    fc.property(fc.array(fc.nat(100), { maxLength: 20 }), cuts => {
      const found = converse([dns], cutPieces(pieces, cuts))
      return (
        found.length === 2 &&
        JSON.stringify(found) === JSON.stringify(converse([dns], pieces)) &&
        found[1]!.request[0] === 0
      )
    }),
  )
  t.end()
})

t.test('what is not DNS is left alone', t => {
  for (const bytes of [
    'GET / HTTP/1.1\r\n\r\n',
    '\x00\x00',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaa',
  ])
    for (const transport of ['tcp', 'udp'] as const)
      t.same(converse([dns], [{ from: 'client', bytes }], { transport }), [])
  t.end()
})

t.test('hostile bytes never throw and never hang', t => {
  const valid = answer('0001', 'stock.shop', [a('0a000001'), `c00c 0005 0001 0000003c 0004 017ac00c`])
  const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 }).map(changes => {
    const bytes = Uint8Array.from(valid)
    for (const [at, value] of changes) bytes[at] = value
    return bytes
  })
  const piece = fc.record({
    from: fc.constantFrom('client' as const, 'server' as const),
    bytes: fc.oneof(mutated, fc.uint8Array({ maxLength: 80 })),
    hole: fc.constantFrom(0, 9),
  })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, isUdp) => {
      const first = question('0001', 'stock.shop')
      converse([dns], [client(isUdp ? first : framed(first)), ...pieces], {
        transport: isUdp ? 'udp' : 'tcp',
      })
      return true
    }),
  )
  t.end()
})
