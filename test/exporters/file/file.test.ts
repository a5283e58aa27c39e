import t from 'tap'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import file from '../../../exporters/file/index.ts'
import { openOutput, type OutputSettings } from '../../../exporters/file/output.ts'
import { configOf } from '../../../core/config/check.ts'
import type { Settings } from '../../../core/schema.ts'
import { FullspanError } from '../../../core/errors.ts'
import { exporterBench } from '../../helpers/context.ts'
import { testBatch } from '../../helpers/spans.ts'

const never = new AbortController().signal

async function start(plain: object) {
  const { context } = exporterBench('file')
  const made = await (file as typeof file & { create(config: Settings, c: typeof context): unknown }).create(
    configOf(file.schema, plain) as never,
    context,
  )
  if (typeof made === 'function') throw new Error('it must be closed')
  return made
}

function settings(path: string, more: Partial<OutputSettings> = {}): OutputSettings {
  return { path, append: false, create_directory: true, owner: undefined, nowMs: () => Date.now(), ...more }
}

t.test('writes one request a line, and makes its folder', async t => {
  const path = join(t.testdir({}), 'a/b/traces.jsonl')
  const exporter = await start({ path })
  await exporter.export(testBatch(2), never)
  await exporter.export(testBatch(1), never)
  await exporter.close()
  const lines = readFileSync(path, 'utf8').split('\n')
  t.equal(lines.length, 3)
  t.equal(lines[2], '')
  const [first, second] = lines.slice(0, 2).map(line => JSON.parse(line) as { resourceSpans: unknown })
  t.match(first, {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
        scopeSpans: [{ scope: { name: 'test' }, spans: [{ name: 'GET /', kind: 1 }, { name: 'GET /' }] }],
      },
    ],
  })
  t.match(second, { resourceSpans: [{}] })
})

t.test('writes protobuf, each request behind its length', async t => {
  const path = join(t.testdir({}), 'traces.pb')
  const exporter = await start({ path, format: 'proto' })
  const batches = [testBatch(2), testBatch(1)]
  for (const batch of batches) await exporter.export(batch, never)
  await exporter.close()
  const expected = batches.flatMap(batch => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(batch.encode().length)
    return [length, batch.encode()]
  })
  t.same(readFileSync(path), Buffer.concat(expected))
})

t.test('begins anew unless told to append', async t => {
  const path = join(t.testdir({ 'x.jsonl': 'old\n' }), 'x.jsonl')
  const kept = await openOutput(settings(path, { append: true }))
  await kept.write(Buffer.from('new\n'))
  await kept.close()
  t.equal(readFileSync(path, 'utf8'), 'old\nnew\n')
  await (await openOutput(settings(path))).close()
  t.equal(readFileSync(path, 'utf8'), '')
})

t.test('renames a full file, keeps as many as it may, and goes on in a new one', async t => {
  const folder = t.testdir({ 'x-notes.jsonl': 'not ours' })
  let nowMs = Date.UTC(2026, 10, 22, 10, 30)
  const rotation = { max_megabytes: 1, max_backups: 2, max_days: 0 }
  const output = await openOutput(
    settings(join(folder, 'x.jsonl'), { rotation, nowMs: () => (nowMs += 1000) }),
  )
  const line = Buffer.alloc(600_000, 'x')
  for (let count = 0; count < 5; count++) await output.write(line)
  await output.close()
  t.strictSame(readdirSync(folder).sort(), [
    'x-2026-11-22T10-30-05.000.jsonl',
    'x-2026-11-22T10-30-07.000.jsonl',
    'x-notes.jsonl',
    'x.jsonl',
  ])
  t.equal(readFileSync(join(folder, 'x.jsonl')).length, line.length)
})

t.test('a full disk is an error to try again', t => {
  const skip = existsSync('/dev/full') ? false : 'this system has no /dev/full'
  t.test('on /dev/full', { skip }, async t => {
    const output = await openOutput(settings('/dev/full', { create_directory: false }))
    await t.rejects(output.write(Buffer.from('x\n')), { code: 'FILE_CANNOT_WRITE', remedy: 'retry' })
    await output.close()
  })
  t.end()
})

t.test('a path that cannot be opened stops the start, with the path in the message', async t => {
  const folder = t.testdir({ file: '' })
  await t.rejects(openOutput(settings(join(folder, 'file/x.jsonl'))), {
    code: 'FILE_CANNOT_OPEN',
    remedy: 'fix-config',
    message: /file\/x\.jsonl/,
  })
})

t.test('a folder that the later user may not write to stops the start, not the first rotation', t => {
  const skip = process.getuid?.() === 0 ? false : 'needs root to give files away'
  t.test('as root', { skip }, async t => {
    const folder = t.testdir({})
    const owner = { uid: 65534, gid: 65534 }
    const rotation = { max_megabytes: 1, max_backups: 2, max_days: 0 }
    const open = openOutput(settings(join(folder, 'x.jsonl'), { rotation, owner }))
    const error: unknown = await open.catch((thrown: unknown) => thrown)
    t.ok(error instanceof FullspanError && error.code === 'FILE_FOLDER_NOT_OURS')
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other/y'), '')
    const made = await openOutput(settings(join(folder, 'ours/x.jsonl'), { rotation, owner }))
    await made.close()
  })
  t.end()
})
