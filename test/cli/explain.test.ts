import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../core/package-root.ts'
import { writeJsonRequest } from '../../formats/otlp/json-write.ts'
import { names } from '../../model/attribute-names.ts'
import type { Batch } from '../../model/batch.ts'
import { associationDefaults, startAssociation } from '../helpers/association.ts'
import { appSpan, batchOf, exchange, type Piece, sight } from '../helpers/stack.ts'

// Each starts a process.
t.setTimeout(120_000)

/** What is explained here is what rules say: nothing has been learnt. */
const statistics = { ...associationDefaults.statistics, enabled: false }

const trace = 'aaaa0000000000000000000000000001'
const other = 'aaaa0000000000000000000000000002'

t.test('prints the tree with rule, confidence, evidence, and what was rejected', async t => {
  const folder = folderWith(t.testdir({ 'fullspan-data': {} }), {
    'traces.jsonl': [await associated(request(trace, '1'))],
  })
  const { code, stdout, stderr } = await fullspan(['explain', '--trace', trace], folder)
  t.equal(stderr, '')
  t.equal(code, 0)
  t.match(stdout, new RegExp(`^trace ${trace}: 8 spans, 1 without a parent here`))
  t.match(stdout, /^app {2}shop client {2}shop .*\n {4}no parent: its SDK says that it is a root$/m)
  t.match(stdout, /^ {2}sys c-p {2}c-p 1 .*\n {6}parent by header, confidence 1: traceparent /m)
  t.match(stdout, /^ +sys s-p {2}s-p 2 .*\n +parent by tcp_seq, confidence 1: 1\|00000000000000aa$/m)
  t.match(stdout, /^ +app {2}stock server .*\n +parent by header, confidence 1: parent id in traceparent$/m)
  t.match(stdout, /\+0\.010 ms {2}0\.980 ms/)
})

t.test('takes the first digits of an id, reads rotated files, and the last version of a span', async t => {
  const [first, second] = [await associated(request(trace, '1')), await associated(request(other, '2'))]
  const folder = folderWith(t.testdir({ 'fullspan-data': {} }), {
    'traces-2026-11-22T10-30-44.123.jsonl': [first],
    'traces-notes.jsonl': ['no JSON at all, "aaaa'],
    'traces.jsonl': [second, '{"resourceSpans": [ "aaaa'],
  })
  const whole = await fullspan(['explain', '--trace', trace.toUpperCase()], folder)
  t.match(whole.stdout, `trace ${trace}`)
  const unique = await fullspan(['explain', '--trace', other, 'fullspan-data/traces.jsonl'], folder)
  t.match(unique.stdout, `trace ${other}`)

  const ambiguous = await fullspan(['explain', '--trace', 'aaaa'], folder)
  t.equal(ambiguous.code, 1)
  t.match(ambiguous.stderr, `2 traces begin with aaaa: ${trace}, ${other}. Give more digits.`)
  t.match(ambiguous.stderr, /traces\.jsonl:2: skipped, since it is no OTLP\/JSON request/)
})

t.test('says why roots have no parent, who is missing, and who was rejected', async t => {
  const pieces = [
    sight({ point: 's-p', seq: 1, from: 0, to: 1000, pid: 7 }),
    sight({ point: 's-p', seq: 2, from: 100, to: 900, pid: 7 }),
    sight({ point: 'c-p', seq: 3, from: 300, to: 400, pid: 7 }),
    appSpan({
      service: 'lone',
      trace,
      id: '5555555555555555',
      parent: '6666666666666666',
      side: 'server',
      from: 0,
      to: 9,
    }),
  ]
  const batches = await run(pieces)
  const lines = batches.map(json)
  const folder = folderWith(t.testdir({ 'fullspan-data': {} }), { 'traces.jsonl': lines })
  const call = batches
    .flatMap(batch => batch.groups.flatMap(({ spans }) => spans))
    .find(({ name }) => name === 'c-p 7')
  const unlinked = await fullspan(['explain', '--trace', call!.traceId], folder)
  t.match(unlinked.stdout, /no parent: no rule found one that is sure enough/)
  t.match(unlinked.stdout, /not [0-9a-f]{16} by process 0\.5: one of 2 that were open/)
  const lone = await fullspan(['explain', '--trace', trace], folder)
  t.match(lone.stdout, /parent as its SDK says, which is not here: 6666666666666666/)
  t.match(lone.stdout, /missing: 6666666666666666, which one span names as its parent/)
})

t.test('a chain of ten thousand spans is printed, and says how deep it is', async t => {
  const pieces = Array.from({ length: 10_000 }, (_, at) =>
    appSpan({
      service: 'deep',
      trace,
      id: hex(at + 1),
      parent: at === 0 ? '' : hex(at),
      side: 'internal',
      from: at,
      to: 20_000,
    }),
  )
  const folder = folderWith(t.testdir({ 'fullspan-data': {} }), { 'traces.jsonl': [json(batchOf(pieces))] })
  const { code, stdout } = await fullspan(['explain', '--trace', trace], folder)
  t.equal(code, 0)
  t.ok(stdout.startsWith(`trace ${trace}: 10000 spans, 1 without a parent here`))
  t.ok(stdout.includes(' (level 9999) app  deep internal'))
})

t.test('errors say what to do', async t => {
  const folder = folderWith(t.testdir({ 'fullspan-data': {} }), {
    'traces.jsonl': [await associated(request(trace, '1'))],
  })
  const cases: [readonly string[], number, RegExp][] = [
    [
      ['explain', '--trace', 'bbbb'],
      1,
      /No span in fullspan-data\/traces\.jsonl \(rotated files too\) has a trace id/,
    ],
    [['explain', '--trace', 'nothex'], 1, /--trace must be a trace id or its first digits, in hex/],
    [
      ['explain', '--trace', 'aa', 'missing.jsonl'],
      1,
      /missing\.jsonl cannot be read \(ENOENT\)\. Name the file/,
    ],
    [['explain'], 2, /required option '--trace <id>'/],
  ]
  const results = await Promise.all(cases.map(([args]) => fullspan(args, folder)))
  for (const [at, [args, code, message]] of cases.entries()) {
    const result = results[at]!
    t.equal(result.code, code, args.join(' '))
    t.match(result.stderr, message)
    t.equal(result.stdout, '')
  }
  const help = await fullspan(['explain', '--help'], folder)
  t.match(help.stdout, /Usage: fullspan explain \[options\] \[file\.\.\.\]/)
})

function hex(id: number): string {
  return id.toString(16).padStart(16, '0')
}

function request(traceId: string, digit: string): Piece[] {
  const client = digit.repeat(16)
  return [
    appSpan({ service: 'shop', trace: traceId, id: client, side: 'client', from: 0, to: 1000 }),
    ...exchange({
      seq: Number(digit),
      from: 10,
      to: 990,
      client: { pid: 1 },
      server: { pid: 2 },
      attributes: { [names.keyTraceparent]: `00-${traceId}-${client}-01` },
    }),
    appSpan({
      service: 'stock',
      trace: traceId,
      id: `f${digit.repeat(15)}`,
      parent: client,
      side: 'server',
      from: 100,
      to: 900,
    }),
  ]
}

async function run(pieces: readonly Piece[]): Promise<readonly Batch[]> {
  const association = await startAssociation({ explain: true, statistics })
  association.input$.next(batchOf(pieces))
  association.clock.advance(30_000)
  return association.batches
}

async function associated(pieces: readonly Piece[]): Promise<string> {
  const [batch] = await run(pieces)
  return json(batch!)
}

function json(batch: Batch): string {
  return writeJsonRequest('traces', batch.encode())
}

function folderWith(folder: string, files: Readonly<Record<string, readonly string[]>>): string {
  for (const [name, lines] of Object.entries(files)) {
    writeFileSync(join(folder, 'fullspan-data', name), `${lines.join('\n')}\n`)
  }
  return folder
}

function fullspan(args: readonly string[], cwd: string) {
  return new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
    const command = [join(packageRoot(), 'dist/cli/main.js'), ...args]
    const env = { ...process.env, NODE_OPTIONS: '' }
    execFile(process.execPath, command, { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}
