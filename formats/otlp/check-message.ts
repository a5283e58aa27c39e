import { action, type MessagePlan, planOf } from './plan.ts'

/**
 * Checks protobuf messages to their leaves: lengths within their message, wire types of known fields, field numbers, groups
 * closed by their own number, at most 100 levels (what protobuf's own readers allow). Text that is not UTF-8 passes: it is
 * handed on as it came. Plain loops without allocation; what a failed check found stands in `problem`.
 *
 * Positions are returned as numbers, -1 for a failure; `begin` holds where the value of the last length began.
 */
export let problem = ''
/** Items (spans, data points, …) that `checkMessage` has passed since `resetItems`. */
export let items = 0
/** Since then an attribute was seen that refers to the string table of profiles. */
export let hasStringIndex = false
let begin = 0
let tagValue = 0

const maximumDepth = 100
const anyValue = planOf('AnyValue')
const keyValue = planOf('KeyValue')
const arrayValue = planOf('ArrayValue')
const keyValueList = planOf('KeyValueList')

export function resetItems(): void {
  items = 0
  hasStringIndex = false
}

export function fail(found: string): false {
  problem = found
  return false
}

/** Where the last value passed by `stopOf` begins. */
export function valueBegin(): number {
  return begin
}

/** The tag last read by `passLongTag`. */
export function longTag(): number {
  return tagValue
}

export function checkMessage(
  plan: MessagePlan,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
): boolean {
  if (depth > maximumDepth) return fail('messages are nested more than 100 deep')
  if (plan.isItem) items++
  const { actions } = plan
  while (at < end) {
    let tag = bytes[at]!
    if (tag < 0x80) at++
    else {
      at = passLongTag(bytes, at, end)
      if (at < 0) return false
      tag = tagValue
    }
    at = passField(plan, tag < 256 ? actions[tag]! : action.unknown, tag, bytes, at, end, depth)
    if (at < 0) return false
  }
  return true
}

/** Passes the value of a field whose tag was read: the position behind it, or -1. */
export function passField(
  plan: MessagePlan,
  what: number,
  tag: number,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
): number {
  switch (what) {
    case action.varint:
      return passVarint(bytes, at, end)
    case action.stringIndex:
      hasStringIndex = true
      return passVarint(bytes, at, end)
    case action.fixed64:
      return at + 8 > end ? truncated() : at + 8
    case action.fixed32:
      return at + 4 > end ? truncated() : at + 4
    case action.bytes:
      return stopOf(bytes, at, end)
    case action.message: {
      const stop = stopOf(bytes, at, end)
      if (stop < 0) return -1
      const { message } = plan.byNumber[tag >>> 3]!
      return checkMessage(message!, bytes, begin, stop, depth + 1) ? stop : -1
    }
    case action.keyValue: {
      const stop = stopOf(bytes, at, end)
      return stop >= 0 && checkKeyValue(bytes, begin, stop, depth + 1) ? stop : -1
    }
    case action.packedVarints: {
      const stop = stopOf(bytes, at, end)
      for (at = begin; at < stop;) {
        at = passVarint(bytes, at, stop)
        if (at < 0) return -1
      }
      return stop
    }
    case action.packedFixed64: {
      const stop = stopOf(bytes, at, end)
      return stop >= 0 && (stop - begin) % 8 !== 0 ? truncated() : stop
    }
    case action.traceId:
      return idStop(bytes, at, end, 16)
    case action.spanId:
      return idStop(bytes, at, end, 8)
    case action.wrongWireType:
      fail(`field ${tag >>> 3} of ${plan.name} has the wire type ${tag & 7}`)
      return -1
    default:
      return passUnknown(tag, bytes, at, end, depth)
  }
}

/** The hot leaf: most bytes of a trace are attributes. */
export function checkKeyValue(bytes: Uint8Array, at: number, end: number, depth: number): boolean {
  if (depth > maximumDepth) return fail('messages are nested more than 100 deep')
  while (at < end) {
    let tag = bytes[at]!
    if (tag < 0x80) at++
    else {
      at = passLongTag(bytes, at, end)
      if (at < 0) return false
      tag = tagValue
    }
    if (tag === 10) at = stopOf(bytes, at, end)
    else if (tag === 18) {
      const stop = stopOf(bytes, at, end)
      if (stop < 0 || !checkAnyValue(bytes, begin, stop, depth + 1)) return false
      at = stop
    } else {
      at = passField(
        keyValue,
        tag < 256 ? keyValue.actions[tag]! : action.unknown,
        tag,
        bytes,
        at,
        end,
        depth,
      )
    }
    if (at < 0) return false
  }
  return true
}

function checkAnyValue(bytes: Uint8Array, at: number, end: number, depth: number): boolean {
  if (depth > maximumDepth) return fail('messages are nested more than 100 deep')
  while (at < end) {
    let tag = bytes[at]!
    if (tag < 0x80) at++
    else {
      at = passLongTag(bytes, at, end)
      if (at < 0) return false
      tag = tagValue
    }
    if (tag === 10 || tag === 58) at = stopOf(bytes, at, end)
    else if (tag === 24 || tag === 16) at = passVarint(bytes, at, end)
    else if (tag === 42 || tag === 50) {
      const stop = stopOf(bytes, at, end)
      const plan = tag === 42 ? arrayValue : keyValueList
      if (stop < 0 || !checkMessage(plan, bytes, begin, stop, depth + 1)) return false
      at = stop
    } else {
      at = passField(
        anyValue,
        tag < 256 ? anyValue.actions[tag]! : action.unknown,
        tag,
        bytes,
        at,
        end,
        depth,
      )
    }
    if (at < 0) return false
  }
  return true
}

/** Passes a field that the schema does not know; groups too. */
function passUnknown(tag: number, bytes: Uint8Array, at: number, end: number, depth: number): number {
  if (tag < 8) {
    fail('a field has the number 0')
    return -1
  }
  switch (tag & 7) {
    case 0:
      return passVarint(bytes, at, end)
    case 1:
      return at + 8 > end ? truncated() : at + 8
    case 2:
      return stopOf(bytes, at, end)
    case 3:
      return passGroup(tag, bytes, at, end, depth + 1)
    case 5:
      return at + 4 > end ? truncated() : at + 4
    default:
      fail(`a field has the wire type ${tag & 7}`)
      return -1
  }
}

function passGroup(startTag: number, bytes: Uint8Array, at: number, end: number, depth: number): number {
  if (depth > maximumDepth) {
    fail('messages are nested more than 100 deep')
    return -1
  }
  while (at < end) {
    at = passLongTag(bytes, at, end)
    if (at < 0) return -1
    const tag = tagValue
    if (tag === startTag + 1) return at
    at = passUnknown(tag, bytes, at, end, depth)
    if (at < 0) return -1
  }
  return truncated()
}

/** Reads a length; the position behind the value, with `begin` at its start, or -1. */
export function stopOf(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return truncated()
  let length = bytes[at++]!
  if (length >= 0x80) {
    length &= 0x7f
    for (let scale = 128; ; scale *= 128) {
      if (at >= end || scale > 2 ** 63) return truncated()
      const byte = bytes[at++]!
      length += (byte & 0x7f) * scale
      if (byte < 0x80) break
    }
  }
  begin = at
  return length > end - at ? truncated() : at + length
}

function passVarint(bytes: Uint8Array, at: number, end: number): number {
  const last = Math.min(end, at + 10)
  while (at < last) if (bytes[at++]! < 0x80) return at
  return truncated()
}

/** Reads a tag of up to 32 bits, in up to five bytes as most decoders want, into `tagValue`: the position behind it, or -1. */
export function passLongTag(bytes: Uint8Array, at: number, end: number): number {
  let tag = 0
  for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
    if (at >= end) return truncated()
    const byte = bytes[at++]!
    tag += (byte & 0x7f) * scale
    if (byte >= 0x80) continue
    if (tag >= 2 ** 32) break
    tagValue = tag
    return at
  }
  fail('a tag is longer than 32 bits')
  return -1
}

function idStop(bytes: Uint8Array, at: number, end: number, size: number): number {
  const stop = stopOf(bytes, at, end)
  if (stop < 0 || stop === begin || stop - begin === size) return stop
  fail(`${size === 16 ? 'a trace id' : 'a span id'} of ${stop - begin} bytes, not ${size}`)
  return -1
}

function truncated(): -1 {
  problem = 'it is cut off: a length or a value goes beyond its message'
  return -1
}
