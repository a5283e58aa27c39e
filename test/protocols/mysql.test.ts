import fc from 'fast-check'
import t from 'tap'
import mysql from '../../protocols/mysql/index.ts'
import { normaliseSql } from '../../protocols/sql.ts'
import { converse, cutPieces, toBytes } from '../helpers/conversation.ts'
import type { Piece } from '../helpers/conversation.ts'

const packet = (sequence: number, payload: string): string =>
  String.fromCharCode(payload.length & 255, payload.length >> 8, 0, sequence) + payload
const client = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'client', bytes, ...more })
const server = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'server', bytes, ...more })
const query = (sql: string): Piece => client(packet(0, `\x03${sql}`))
const ok = (sequence = 1, status = 2): string =>
  packet(sequence, `\x00\x00\x00${String.fromCharCode(status)}\x00\x00\x00`)
const eof = (sequence: number, status = 2): string =>
  packet(sequence, `\xfe\x00\x00${String.fromCharCode(status)}\x00`)
const endOk = (sequence: number, status = 2): string =>
  packet(sequence, `\xfe\x00\x00${String.fromCharCode(status)}\x00\x00\x00`)
const column = (sequence: number): string =>
  packet(
    sequence,
    '\x03def\x04shop\x05stock\x05stock\x03sku\x03sku\x0c!\x00\xfc\x03\x00\x00\xfd\x00\x00\x00\x00\x00',
  )
/** A result set of one column and two rows; `isNew`: without EOF packets (CLIENT_DEPRECATE_EOF). */
const rows = (isNew: boolean, status = 2): string =>
  packet(1, '\x01') +
  column(2) +
  (isNew ? '' : eof(3)) +
  packet(4, '\x05first') +
  packet(5, '\xfb') +
  (isNew ? endOk(6, status) : eof(6, status))

const base = 0x0200 | 0x8000 | 0x80000 | 0x8
const capabilities = (flags: number): string =>
  String.fromCharCode(flags & 255, (flags >> 8) & 255, (flags >> 16) & 255, (flags >>> 24) & 255)
const greeting = (version: string, flags: number): string => {
  const text = capabilities(flags)
  return packet(
    0,
    `\x0a${version}\x00\x01\x00\x00\x0012345678\x00${text.slice(0, 2)}\x2d\x02\x00${text.slice(2)}\x15${'\0'.repeat(10)}123456789012\x00mysql_native_password\x00`,
  )
}
const login = (flags: number): string =>
  packet(
    1,
    `${capabilities(flags)}\x00\x00\x00\x01\x2d${'\0'.repeat(23)}app\x00\x04sesashop\x00mysql_native_password\x00`,
  )
const handshake = (version = '8.0.36', flags = base): Piece[] => [
  server(greeting(version, flags)),
  client(login(flags)),
  server(ok(2)),
]

t.test('a query and its result set make one exchange by the semantic conventions', t => {
  for (const isNew of [false, true]) {
    const flags = isNew ? base | 0x1000000 : base
    const found = converse(
      [mysql],
      [
        ...handshake('5.5.5-10.11.6-MariaDB', flags),
        query("SELECT * FROM stock WHERE sku = 'sesame'"),
        server(rows(isNew)),
      ],
    )
    t.match(found, [
      {
        name: 'SELECT stock',
        error: '',
        incomplete: [],
        attributes: {
          'db.system.name': 'mariadb',
          'db.namespace': 'shop',
          'db.query.text': 'SELECT * FROM stock WHERE sku = ?',
          'db.query.summary': 'SELECT stock',
          'db.operation.name': 'SELECT',
          'db.collection.name': 'stock',
          'network.protocol.name': 'mysql',
        },
      },
    ])
    t.equal(found[0]?.response?.[1], rows(isNew).length, 'up to the last packet')
    t.notMatch(JSON.stringify(found), 'sesame')
  }
  t.end()
})

t.test('joining late needs no login', t => {
  for (const isNew of [false, true]) {
    const found = converse(
      [mysql],
      [
        server(rows(isNew)),
        query('select 1'),
        server(rows(isNew)),
        query('update stock set n=n-1'),
        server(ok()),
      ],
    )
    t.match(found, [{ name: 'SELECT' }, { name: 'UPDATE stock' }])
    t.equal(found[0]?.response?.[1], rows(isNew).length)
  }
  t.end()
})

t.test('several results are one answer', t => {
  const answer = rows(false, 10) + rows(false, 10) + ok(1, 2)
  const [exchange] = converse([mysql], [...handshake(), query('CALL p()'), server(answer)])
  t.equal(exchange?.response?.[1], answer.length)
  t.end()
})

t.test('an error says its code, and no value', t => {
  const error = (code: number, text: string): string =>
    packet(1, `\xff${String.fromCharCode(code & 255, code >> 8)}#42000${text}`)
  const found = converse(
    [mysql],
    [
      ...handshake(),
      query('select x'),
      server(error(1054, "Unknown column 'x' in 'field list'")),
      query("insert into t values ('sesame')"),
      server(error(1062, "Duplicate entry 'sesame' for key 'PRIMARY'")),
    ],
  )
  t.match(found, [
    {
      error: "1054 Unknown column 'x' in 'field list' (both)",
      attributes: { 'db.response.status_code': '1054' },
    },
    { error: '1062 Duplicate entry ? (both)' },
  ])
  t.notMatch(JSON.stringify(found), 'sesame')
  t.end()
})

t.test('ids in comments are keys, what looks like a comment in a literal is none', t => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const keyOf = (sql: string): unknown => {
    const [exchange] = converse([mysql], [...handshake(), query(sql), server(ok())])
    t.notMatch(JSON.stringify(exchange?.attributes), 'sesame')
    return exchange?.attributes['fullspan.key.traceparent']
  }
  t.equal(keyOf(`select 1 /*action='sesame',traceparent='${traceparent}'*/`), traceparent, 'sqlcommenter')
  t.equal(
    keyOf(`/*dddbs='sesame',ddps='shop',traceparent='${traceparent}'*/ select 1`),
    traceparent,
    "Datadog's, in front",
  )
  t.equal(keyOf(`select ${'a,'.repeat(2000)}b /*traceparent='${traceparent}'*/`), traceparent, 'far behind')
  t.equal(keyOf(`select 'sesame /*traceparent=\\'${traceparent}\\'*/' from t`), undefined)
  t.equal(keyOf(`select "/*traceparent='${traceparent}'*/" from t`), undefined)
  t.equal(keyOf(`select 1 /*!traceparent='${traceparent}'*/`), undefined)
  t.equal(keyOf(`select 1 /*traceparent='${traceparent.slice(0, 40)}'*/`), undefined)
  t.end()
})

t.test('a prepared statement runs with the text of its preparation', t => {
  const prepared = packet(1, '\x00\x07\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00')
  const execute = client(packet(0, '\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfd\x00\x06sesame'))
  for (const isNew of [false, true]) {
    const definitions = isNew ? column(2) + column(3) : column(2) + eof(3) + column(4) + eof(5)
    const found = converse(
      [mysql],
      [
        ...handshake('8.0.36', isNew ? base | 0x1000000 : base),
        client(packet(0, '\x16SELECT n FROM stock WHERE sku = ?')),
        server(prepared + definitions),
        execute,
        server(rows(isNew)),
        client(packet(0, '\x19\x07\x00\x00\x00') + packet(0, '\x0e')),
        server(ok()),
        execute,
        server(ok()),
      ],
    )
    t.match(found, [
      { name: 'PREPARE SELECT stock', attributes: { 'db.operation.name': 'PREPARE' } },
      {
        name: 'SELECT stock',
        attributes: { 'db.query.text': 'SELECT n FROM stock WHERE sku = ?', 'db.operation.name': 'SELECT' },
      },
      { name: 'PING', attributes: { 'db.operation.name': 'PING' } },
      { name: 'EXECUTE', attributes: { 'db.operation.name': 'EXECUTE' } },
    ])
    t.equal(found[0]?.response?.[1], (prepared + definitions).length)
  }
  t.end()
})

t.test('the database in use follows USE, and only when it worked', t => {
  const found = converse(
    [mysql],
    [
      ...handshake(),
      client(packet(0, '\x02other')),
      server(packet(1, '\xff\x19\x04#42000Unknown database')),
      query('use `third`'),
      server(ok()),
      query('select 1'),
      server(rows(false)),
    ],
  )
  t.same(
    found.map(({ name, attributes }) => [name, attributes['db.namespace']]),
    [
      ['USE', 'shop'],
      ['USE third', 'shop'],
      ['SELECT', 'third'],
    ],
  )
  t.end()
})

t.test('query attributes stand before the statement and are not shown', t => {
  const flags = base | 0x8000000
  const one = '\x01\x01\x00\x01\xfe\x00\x01k\x06sesame'
  for (const before of ['\x00\x01', one]) {
    const found = converse(
      [mysql],
      [...handshake('8.0.36', flags), query(`${before}select 1 from t`), server(ok())],
    )
    t.match(found, [{ name: 'SELECT t', attributes: { 'db.query.text': 'select ? from t' } }])
  }
  t.match(converse([mysql], [query('\x00\x01select 1 from t'), server(ok())]), [{ name: 'SELECT t' }])
  t.end()
})

t.test('a refused login is an error, TLS and compression are left alone', t => {
  const refused = converse(
    [mysql],
    [
      server(greeting('8.0.36', base)),
      client(login(base)),
      server(packet(2, '\xff\x15\x04#28000Access denied')),
    ],
  )
  t.match(refused, [{ name: 'LOGIN', error: '1045 Access denied (both)' }])
  const tls = [
    server(greeting('8.0.36', base | 0x800)),
    client(packet(1, `${capabilities(base | 0x800)}${'\0'.repeat(28)}`)),
    client('\x16\x03\x01secret'),
    server('\x16\x03\x03'),
  ]
  t.same(converse([mysql], tls), [])
  t.same(converse([mysql], [...handshake('8.0.36', base | 0x20), query('select 1'), server(ok())]), [])
  t.end()
})

t.test('rows that were not captured end with the turn', t => {
  const found = converse(
    [mysql],
    [
      ...handshake(),
      query('select * from big'),
      server(rows(false), { seen: 60, hole: 100000 }),
      query('select 2'),
      server(ok()),
    ],
  )
  t.match(found, [
    { name: 'SELECT big', incomplete: ['truncated'] },
    { name: 'SELECT', incomplete: [] },
  ])
  t.equal(found[0]?.response?.[1], rows(false).length + 100000)
  t.end()
})

t.test('a long row is skipped by its length', t => {
  const long = packet(4, 'x'.repeat(60000))
  const answer = packet(1, '\x01') + column(2) + eof(3) + long
  const found = converse(
    [mysql],
    [...handshake(), query('select 1'), server(answer, { seen: 200 }), server(eof(5))],
  )
  t.match(found, [{ incomplete: [] }])
  t.equal(found[0]?.response?.[1], answer.length + 9)
  t.end()
})

t.test('any cut of the stream into calls gives the same exchanges', t => {
  const pieces = [
    ...handshake(),
    query('select * from a, b where x = 1'),
    server(rows(false)),
    query('x'.repeat(300)),
    server(ok()),
    query('select 3'),
    server(rows(false, 10) + ok()),
  ]
  const whole = JSON.stringify(converse([mysql], pieces))
  fc.assert(
    fc.property(
      fc.array(fc.nat(400), { maxLength: 30 }),
      cuts => JSON.stringify(converse([mysql], cutPieces(pieces, cuts))) === whole,
    ),
  )
  t.end()
})

t.test('hostile bytes never throw', t => {
  const valid = [
    rows(false),
    rows(true),
    ok(),
    login(base),
    packet(0, '\x03select 1'),
    packet(0, '\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00'),
    packet(0, '\x03\x02\x01\x00\x01\xfe\x00'),
  ]
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.tuple(fc.constantFrom(...valid), fc.nat(100), fc.nat(255)).map(([text, at, value]) => {
      const changed = Uint8Array.from(toBytes(text))
      changed[at % changed.length] = value
      return changed
    }),
  )
  const piece = fc.record({
    from: fc.constantFrom('client' as const, 'server' as const),
    bytes,
    hole: fc.constantFrom(0, 0, 7),
  })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, isLate) => {
      converse([mysql], [...(isLate ? [query('select 1')] : handshake()), ...pieces])
      return true
    }),
  )
  t.end()
})

t.test('statements lose their literals and keep their shape', t => {
  const cases = [
    [
      "select * from `stock` where a = 'x''y\\'z' and n > 1.5e3 -- hi\n and b in (1, -2)",
      'select * from `stock` where a = ? and n > ? and b in (?, -?)',
      'SELECT stock',
      'stock',
    ],
    [
      "INSERT INTO shop.orders (a) VALUES (0xff, _binary 'abc', x'41', null)",
      'INSERT INTO shop.orders (a) VALUES (?, ?, ?, null)',
      'INSERT shop.orders',
      'shop.orders',
    ],
    [
      'insert into a select b from c, d join e on 1',
      'insert into a select b from c, d join e on ?',
      'INSERT a SELECT c d e',
      '',
    ],
    ["/* 'x' */ DELETE FROM t # end", 'DELETE FROM t', 'DELETE t', 't'],
    ["SELECT 'unended", 'SELECT ?', 'SELECT', ''],
    ['SELECT a FROM t FOR UPDATE', 'SELECT a FROM t FOR UPDATE', 'SELECT t', 't'],
    ['select t2.c1 from t2', 'select t2.c1 from t2', 'SELECT t2', 't2'],
  ] as const
  for (const [sql, text, summary, collection] of cases)
    t.match(normaliseSql(sql), { text, summary, collection })
  t.end()
})

t.test('no literal survives, whatever stands around it', t => {
  const around = fc.stringMatching(/^[a-z0-9 (),=*.;+/-]{0,12}$/)
  const quoted = fc.constantFrom("'sesame'", '"sesame"', "'a\\'sesame'", "'a''sesame'", '"sesame')
  fc.assert(
    fc.property(around, quoted, around, (before, literal, after) => {
      const isComment = /--|\/\*/.test(before)
      return isComment || !normaliseSql(`${before} ${literal}${after}`).text.includes('sesame')
    }),
  )
  t.end()
})
