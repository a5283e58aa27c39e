import fc from 'fast-check'
import t from 'tap'
import redis from '../../protocols/redis/index.ts'
import { converse, cutPieces, toBytes } from '../helpers/conversation.ts'
import type { Piece } from '../helpers/conversation.ts'

const client = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'client', bytes, ...more })
const server = (bytes: string, more: Partial<Piece> = {}): Piece => ({ from: 'server', bytes, ...more })
const command = (...words: string[]): string =>
  `*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join('')}`
const namesOf = (pieces: readonly Piece[]): string[] =>
  converse([redis], pieces).map(
    found =>
      `${found.name}${found.incomplete.length > 0 ? ' ' + found.incomplete.join() : ''}${found.error && ` ${found.error}`}`,
  )

t.test('a command and its reply make one exchange, without its arguments', t => {
  const found = converse([redis], [client(command('set', 'session:sesame', 'sesame')), server('+OK\r\n')])
  t.match(found, [
    {
      name: 'SET',
      error: '',
      incomplete: [],
      request: [0, 46],
      response: [0, 5],
      attributes: { 'db.system.name': 'redis', 'db.operation.name': 'SET', 'db.query.text': 'SET ? ?' },
    },
  ])
  t.notMatch(JSON.stringify(found), 'sesame')
  t.end()
})

t.test('a pipeline is answered in order, whatever the replies look like', t => {
  const replies = [
    '$-1\r\n',
    '*2\r\n$1\r\na\r\n*1\r\n:5\r\n',
    '%1\r\n+k\r\n#t\r\n',
    '*0\r\n',
    '-WRONGTYPE Operation "secret"\r\n',
    '|1\r\n+ttl\r\n:9\r\n,1.5\r\n',
    '*-1\r\n',
    '=5\r\ntxt:a\r\n',
    '!9\r\nERR worse\r\n',
  ]
  const commands = ['GET', 'MGET', 'HGETALL', 'KEYS', 'INCR', 'ZSCORE', 'BLPOP', 'INFO', 'EVAL']
  t.same(namesOf([client(commands.map(name => command(name, 'x')).join('')), server(replies.join(''))]), [
    'GET',
    'MGET',
    'HGETALL',
    'KEYS',
    'INCR WRONGTYPE WRONGTYPE Operation ? (both)',
    'ZSCORE',
    'BLPOP',
    'INFO',
    'EVAL ERR ERR worse (both)',
  ])
  t.end()
})

t.test('subcommands, inline commands and the database in use', t => {
  const found = converse(
    [redis],
    [
      client(command('CLIENT', 'SETINFO', 'LIB-NAME', 'x')),
      server('+OK\r\n'),
      client(command('SELECT', '3')),
      server('+OK\r\n'),
      client('get key\r\n'),
      server('$1\r\nv\r\n'),
    ],
  )
  t.match(found, [
    { name: 'CLIENT SETINFO', attributes: { 'db.query.text': 'CLIENT SETINFO ? ?' } },
    { name: 'SELECT' },
    { name: 'GET', attributes: { 'db.namespace': '3', 'db.query.text': 'GET ?' } },
  ])
  t.end()
})

t.test('published messages answer nothing', t => {
  const message = '*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n'
  const confirm = (channel: string): string => `*3\r\n$9\r\nsubscribe\r\n$1\r\n${channel}\r\n:1\r\n`
  t.same(
    namesOf([
      client(command('SUBSCRIBE', 'a', 'b')),
      server(confirm('a') + confirm('b')),
      server(message),
      client(command('PING')),
      server(message + '*2\r\n$4\r\npong\r\n$0\r\n\r\n'),
    ]),
    ['SUBSCRIBE', 'PING'],
  )
  const push = '>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n'
  t.same(namesOf([client(command('GET', 'a')), server(push + '+v\r\n')]), ['GET'])
  t.end()
})

t.test('values need not be captured, lost framing ends with the turn', t => {
  const found = converse(
    [redis],
    [
      client(command('GET', 'a')),
      server('$100000\r\nabc', { hole: 99999 }),
      client(command('LRANGE', 'l', '0', '-1')),
      server('*1000\r\n$10\r\nab', { hole: 5000 }),
      client(command('SET', 'a', 'b'), { seen: 30, hole: 0 }),
      server('+OK\r\n'),
    ],
  )
  t.match(found, [
    { name: 'GET', response: [0, 100011], incomplete: [] },
    { name: 'LRANGE', response: [100011, 5014], incomplete: ['truncated'] },
  ])
  t.end()
})

t.test('after MONITOR nothing is decoded, and strangers are left alone', t => {
  t.same(namesOf([client(command('MONITOR')), server('+OK\r\n'), server('+1 "get"\r\n')]), [])
  for (const stranger of ['hello', 'get key\r\n', '*1\r\n$3\r\nfoo\r\n', '+OK\r\n', 'EHLO x\r\n', 'PING\r\n'])
    t.same(namesOf([client(stranger), server('+OK\r\n')]), [])
  t.end()
})

t.test('any cut of the stream into calls gives the same exchanges', t => {
  const pieces = [
    client(command('SET', 'a', 'b') + command('GET', 'a')),
    server('+OK\r\n$1\r\nb\r\n'),
    client(command('HGETALL', 'h')),
    server('%2\r\n+a\r\n$3\r\nx\r\n\r\n$1\r\nb\r\n*2\r\n:1\r\n_\r\n'),
    client(command('EVAL', 'return 1', '0')),
    server('-NOSCRIPT no\r\n'),
  ]
  const whole = JSON.stringify(converse([redis], pieces))
  fc.assert(
    fc.property(
      fc.array(fc.nat(100), { maxLength: 30 }),
      cuts => JSON.stringify(converse([redis], cutPieces(pieces, cuts))) === whole,
    ),
  )
  t.end()
})

t.test('hostile bytes never throw', t => {
  const text = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.stringMatching(/^(?:[*$+%>|-][0-9]{0,3}(?:\r\n)?){0,20}$/).map(toBytes),
  )
  const piece = fc.record({
    from: fc.constantFrom('client' as const, 'server' as const),
    bytes: text,
    hole: fc.constantFrom(0, 0, 7),
  })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
      converse([redis], [client(command('GET', 'a')), ...pieces])
      return true
    }),
  )
  t.end()
})
