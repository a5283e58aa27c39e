import { createHash } from 'node:crypto'
import { isNoId } from '../../model/ids.ts'

/**
 * SkyWalking's ids are texts of any shape (UUIDs with and without dashes, `uuid.thread.number`, decimal numbers); OTLP's are 16
 * and 8 bytes. The mapping is stateless, so every process gives the same ids, and free of collisions: nothing is folded, as
 * the Collector's translator does (one thread's segments within a millisecond collide there).
 */

/** A UUID in lower case is its own 16 bytes; anything else is hashed. 32 hex digits. */
export function traceIdOf(nativeTraceId: string): string {
  const digits = uuid.test(nativeTraceId) ? nativeTraceId.replaceAll('-', '') : nativeTraceId
  if (/^[0-9a-f]{32}$/.test(digits) && !isNoId(digits)) return digits
  return createHash('sha256').update(`sw-trace\0${nativeTraceId}`).digest('hex').slice(0, 32)
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** For one segment: span number → 16 hex digits. Bijective in the number, so spans of a segment never collide. */
export function spanIdsOf(segmentId: string): (spanId: number) => string {
  const base = createHash('sha256').update(`sw-seg\0${segmentId}`).digest().readBigUInt64BE(0)
  return spanId => {
    const mixed = mix64(BigInt.asUintN(64, base + BigInt(spanId)))
    return (mixed === 0n ? zeroStandsFor : mixed).toString(16).padStart(16, '0')
  }
}

/** An id of 0 is no id. */
const zeroStandsFor = 0x9e3779b97f4a7c15n

/** The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits. */
function mix64(value: bigint): bigint {
  let mixed = BigInt.asUintN(64, (value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n)
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
  return mixed ^ (mixed >> 31n)
}
