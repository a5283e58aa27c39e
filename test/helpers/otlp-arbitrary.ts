import fc from 'fast-check'
import protobuf from 'protobufjs'
import { type FieldPlan, type MessagePlan, planOf } from '../../formats/otlp/plan.ts'

/** Takes a value out of an arbitrary, as fc.gen gives it. */
type Draw = fc.GeneratorValue

/**
 * Messages as bytes, the odd but valid ones too: fields in any order and more than once, singular messages in several parts,
 * lists packed and unpacked in turn, unknown fields of every wire type with groups, tags and lengths longer than needed, 64-bit
 * extremes. Spans have valid ids. Written with protobufjs's writer, so that ours is not its own judge.
 */
export function messages(name: string, depth = 6): fc.Arbitrary<Uint8Array> {
  return fc.gen().map(draw => message(draw, planOf(name), depth))
}

function message(draw: Draw, plan: MessagePlan, depth: number): Uint8Array {
  const parts: Uint8Array[] = []
  const count = draw(fc.integer, { min: 0, max: plan.isItem ? 8 : 4 })
  for (let index = 0; index < count; index++) {
    if (draw(fc.integer, { min: 0, max: 9 }) === 0) parts.push(unknownField(draw, 2))
    else {
      const field = draw(() => fc.constantFrom<FieldPlan[]>(...plan.fields))
      const isId = plan.name === 'Span' && (field.number === 1 || field.number === 2)
      if (!isId && (!field.message || depth > 0)) parts.push(knownField(draw, field, depth))
    }
  }
  if (plan.name === 'Span') {
    for (const [number, size] of [
      [1, 16],
      [2, 8],
    ] as const) {
      const place = draw(fc.integer, { min: 0, max: parts.length })
      parts.splice(
        place,
        0,
        tagged(number, 2, writer => writer.bytes(id(draw, size))),
      )
    }
  }
  return Buffer.concat(parts)
}

function id(draw: Draw, size: number): Uint8Array {
  const bytes = draw(fc.uint8Array, { minLength: size, maxLength: size })
  bytes[size - 1] = bytes[size - 1]! | 1
  return bytes
}

function tagged(number: number, wireType: number, write: (writer: protobuf.Writer) => unknown): Uint8Array {
  const writer = protobuf.Writer.create().uint32(((number << 3) | wireType) >>> 0)
  write(writer)
  return writer.finish()
}

function knownField(draw: Draw, field: FieldPlan, depth: number): Uint8Array {
  const { number, kind, message: inner } = field
  if (inner) {
    const bytes = message(draw, inner, depth - 1)
    return draw(fc.integer, { min: 0, max: 19 }) === 0
      ? overlong(number, bytes)
      : tagged(number, 2, w => w.bytes(bytes))
  }
  if (kind === 'hex') {
    // Within a span an id may be absent, never of another length.
    const size = draw(fc.boolean) ? 0 : field.jsonName === 'traceId' ? 16 : 8
    return tagged(number, 2, w => w.bytes(id(draw, Math.max(size, 1)).subarray(0, size)))
  }
  if (kind === 'string') return tagged(number, 2, w => w.string(draw(texts)))
  if (kind === 'bytes') return tagged(number, 2, w => w.bytes(draw(fc.uint8Array, { maxLength: 40 })))
  const [wireType] = scalarWriters[kind]!
  if (!field.isRepeated || draw(fc.boolean)) return tagged(number, wireType, scalar(draw, kind))
  const writers = Array.from({ length: draw(fc.integer, { min: 0, max: 4 }) }, () => scalar(draw, kind))
  return tagged(number, 2, writer => {
    writer.fork()
    for (const write of writers) write(writer)
    writer.ldelim()
  })
}

/** Tag and length with leading zeros, as some encoders write that reserve room first. */
function overlong(number: number, bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  const tag = number * 8 + 2
  const head = [
    (tag & 0x7f) | 0x80,
    (tag >> 7) | 0x80,
    0,
    (length & 0x7f) | 0x80,
    ((length >> 7) & 0x7f) | 0x80,
    ((length >> 14) & 0x7f) | 0x80,
    0,
  ]
  return Buffer.concat([Buffer.from(head), bytes])
}

const texts = () =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom('', 'service.name', 'a', 'é'.repeat(60)),
  )

const edges64 = [
  0n,
  1n,
  -1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 53n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  2n ** 31n,
]
const wide = () =>
  fc.oneof(fc.constantFrom(...edges64), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
const doubles = () =>
  fc.oneof(fc.constantFrom(-0, 0, NaN, Infinity, -Infinity, 5e-324, 1e300, 3), fc.double())
const long = (value: bigint, isUnsigned = false) =>
  new protobuf.util.Long(
    Number(BigInt.asIntN(32, value)),
    Number(BigInt.asIntN(32, value >> 32n)),
    isUnsigned,
  )

type Write = (writer: protobuf.Writer) => unknown
const scalarWriters: Readonly<Record<string, readonly [wireType: number, make: (draw: Draw) => Write]>> = {
  bool: [
    0,
    draw =>
      (
        (value: bigint) => (w: protobuf.Writer) =>
          w.uint64(long(value, true))
      )(draw(bits)),
  ],
  enum: [
    0,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.int32(value)
      )(draw(enums)),
  ],
  int32: [
    0,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.int32(value)
      )(draw(narrow)),
  ],
  uint32: [
    0,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.uint32(value >>> 0)
      )(draw(narrow)),
  ],
  sint32: [
    0,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.sint32(value)
      )(draw(narrow)),
  ],
  int64: [
    0,
    draw =>
      (
        (value: bigint) => (w: protobuf.Writer) =>
          w.int64(long(value))
      )(draw(wide)),
  ],
  uint64: [
    0,
    draw =>
      (
        (value: bigint) => (w: protobuf.Writer) =>
          w.uint64(long(value, true))
      )(draw(wide)),
  ],
  double: [
    1,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.double(value)
      )(draw(doubles)),
  ],
  fixed64: [
    1,
    draw =>
      (
        (value: bigint) => (w: protobuf.Writer) =>
          w.fixed64(long(value, true))
      )(draw(wide)),
  ],
  sfixed64: [
    1,
    draw =>
      (
        (value: bigint) => (w: protobuf.Writer) =>
          w.sfixed64(long(value))
      )(draw(wide)),
  ],
  fixed32: [
    5,
    draw =>
      (
        (value: number) => (w: protobuf.Writer) =>
          w.fixed32(value >>> 0)
      )(draw(narrow)),
  ],
}
const bits = () => fc.constantFrom(0n, 1n, 2n ** 60n, 300n)
const enums = () => fc.integer({ min: 0, max: 7 })
const narrow = () => fc.oneof(fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31)), fc.integer())

function scalar(draw: Draw, kind: string): Write {
  return scalarWriters[kind]![1](draw)
}

const unknownNumbers = () => fc.constantFrom(100, 999, 17, 536_870_911)
const unknownTypes = () => fc.constantFrom(0, 1, 2, 3, 5)

/** A field that no schema of OTLP knows. */
function unknownField(draw: Draw, depth: number): Uint8Array {
  const number = draw(unknownNumbers)
  const wireType = draw(unknownTypes)
  switch (wireType) {
    case 0:
      return tagged(number, 0, scalar(draw, 'uint64'))
    case 1:
      return tagged(number, 1, scalar(draw, 'fixed64'))
    case 2:
      return tagged(number, 2, w => w.bytes(draw(fc.uint8Array, { maxLength: 10 })))
    case 3: {
      const inner = depth > 0 ? [unknownField(draw, depth - 1)] : []
      return Buffer.concat([tagged(number, 3, () => undefined), ...inner, tagged(number, 4, () => undefined)])
    }
    default:
      return tagged(number, 5, scalar(draw, 'fixed32'))
  }
}

/** Valid bytes with a few bytes changed, cut, doubled or put in: most of them no longer valid. */
export function damaged(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const wound = fc.record({
    kind: fc.constantFrom('set', 'cut', 'drop', 'insert', 'repeat'),
    place: fc.double({ min: 0, max: 1, noNaN: true }),
    byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 0x7f, 0x80, 0xff, 3, 4)),
    length: fc.integer({ min: 1, max: 5 }),
  })
  return fc.tuple(whole, fc.array(wound, { minLength: 1, maxLength: 3 })).map(([bytes, wounds]) => {
    let all = Buffer.from(bytes)
    for (const { kind, place, byte, length } of wounds) {
      const at = Math.floor(place * all.length)
      const [head, tail] = [all.subarray(0, at), all.subarray(at)]
      if (kind === 'cut') all = Buffer.from(head)
      else if (kind === 'drop') all = Buffer.concat([head, tail.subarray(length)])
      else if (kind === 'repeat') all = Buffer.concat([head, tail.subarray(0, length), tail])
      else if (kind === 'insert') all = Buffer.concat([head, Buffer.alloc(length, byte), tail])
      else all = Buffer.concat([head, Buffer.of(byte), tail.subarray(1)])
    }
    return all
  })
}
