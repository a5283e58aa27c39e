import fc from 'fast-check'
import t from 'tap'
import { Batch } from '../../model/batch.ts'
import { PickedAttributes } from '../../model/picked-attributes.ts'
import { fieldNumber, Span, spanKind } from '../../model/span.ts'
import { Writer } from '../../model/wire.ts'
import { messages } from '../helpers/otlp-arbitrary.ts'

const nothing = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentSpanId: '',
  name: '',
  kind: spanKind.internal,
  startTimeUnixNano: 0n,
  endTimeUnixNano: 0n,
}

t.test('what is picked in one pass is what a map of all attributes has, however they are written', t => {
  fc.assert(
    fc.property(messages('ExportTraceServiceRequest'), bytes => {
      for (const { spans } of Batch.ofRequest('traces', bytes, 0).groups) {
        for (const span of spans) {
          const all = [...span.attributes.keys()]
          const ascii = all.filter(key => /^[\x20-\x7e]+$/.test(key)).slice(0, 200)
          const half = ascii.length >> 1
          const picked = new PickedAttributes({ rare: ascii.slice(0, half), usual: ascii.slice(half) })
          // Twice: one picker goes through many messages.
          for (let round = 0; round < 2; round++) {
            const { source, from, to } = span
            picked.pick({ bytes: source, at: from, end: to, field: fieldNumber.attributes })
            t.equal(picked.hasRare, half > 0)
            for (const key of [...all, 'not there']) {
              t.strictSame(picked.attribute(key), span.attribute(key))
              t.equal(picked.text(key), span.text(key))
              t.equal(picked.number(key), span.number(key))
            }
          }
        }
      }
    }),
    { numRuns: 100 },
  )
  t.end()
})

t.test('of equal keys the first counts, and parts of a KeyValue in any order are read', t => {
  const writer = new Writer()
  const keyValue = (parts: readonly (readonly [field: number, bytes: Uint8Array])[]) =>
    writer.message(fieldNumber.attributes, () => {
      for (const [field, bytes] of parts) writer.bytesField(field, bytes)
    })
  const text = (value: string) => Uint8Array.of(10, value.length, ...Buffer.from(value))
  keyValue([
    [2, text('value first')],
    [1, Buffer.from('a')],
  ])
  keyValue([
    [1, Buffer.from('x')],
    [2, text('1')],
    [1, Buffer.from('b')],
  ])
  keyValue([
    [1, Buffer.from('b')],
    [2, text('too late')],
  ])
  const bytes = writer.finish()
  const picked = new PickedAttributes({ rare: ['a'], usual: ['b', 'x'] })
  picked.pick({ bytes, at: 0, end: bytes.length, field: fieldNumber.attributes })
  t.equal(picked.text('a'), 'value first')
  t.equal(picked.text('b'), '1')
  t.equal(picked.text('x'), '')
  const span = Span.create({ ...nothing, attributes: [['c', 1]] })
  picked.pick({ bytes: span.source, at: span.from, end: span.to, field: fieldNumber.attributes })
  t.equal(picked.hasRare, false)
  t.equal(picked.number('c'), 1, 'a key that nobody named is found all the same')
  t.end()
})
