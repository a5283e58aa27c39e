import protobuf from 'protobufjs'
import { otlpSchemas } from '../../formats/otlp/schema/index.ts'

/** protobufjs over our schemas as proto3, in a root of its own: the judge of everything written by hand. */
const root = protobuf.Root.fromJSON({ nested: { otlp: { nested: structuredClone(otlpSchemas) } } as never })
root.resolveAll()

export function oracle(name: string): protobuf.Type {
  return root.lookupType(`otlp.${name}`)
}

/** A message encoded by protobufjs from plain fields (ids as bytes, 64-bit integers as strings). */
export function encodeWith(name: string, fields: object): Uint8Array {
  const type = oracle(name)
  return type.encode(type.fromObject(fields)).finish()
}

/** A message decoded by protobufjs: longs as strings, bytes as hex, absent fields absent. */
export function decodeWith(name: string, bytes: Uint8Array): unknown {
  const type = oracle(name)
  const plain = type.toObject(type.decode(bytes), { longs: String })
  return hexed(plain)
}

function hexed(value: unknown): unknown {
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(hexed)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hexed(inner)]))
  }
  return value
}

/** True if protobufjs reads the bytes, or minds nothing but text that is not UTF-8. */
export function isReadable(name: string, bytes: Uint8Array): boolean {
  try {
    oracle(name).decode(bytes)
    return true
  } catch (error) {
    return error instanceof TypeError && error.message.includes('utf-8')
  }
}
