/** Protobuf by hand, so that tests can write what no encoder would. */

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** The same value in more bytes than it needs. */
export function longVarint(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let index = 0, rest = value; index < size; index++, rest = Math.floor(rest / 128)) {
    bytes[index] = (rest % 128) | (index < size - 1 ? 0x80 : 0)
  }
  return bytes
}

export function tag(field: number, wireType: number): Buffer {
  return varint(BigInt(field) * 8n + BigInt(wireType))
}

/** A length-delimited field. */
export function field(number: number, ...content: readonly (Uint8Array | string)[]): Buffer {
  const value = join(...content)
  return join(tag(number, 2), varint(value.length), value)
}

export function varintField(number: number, value: bigint | number): Buffer {
  return join(tag(number, 0), varint(value))
}

export function fixed64Field(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
  return join(tag(number, 1), bytes)
}

export function fixed32Field(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return join(tag(number, 5), bytes)
}

export function join(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}
