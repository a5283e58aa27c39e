import { type AttributeValue, readAttributes, readKeyValueAt } from './attributes.ts'
import { isText } from './text.ts'
import { type Cursor, readVarint, skipValue, wireBytes } from './wire.ts'

/** What can be asked for attributes by key: a Span, or some of its attributes picked in one pass. */
export interface AttributeReader {
  attribute(key: string): AttributeValue | undefined
  /** An attribute that is a string, else ''. */
  text(key: string): string
  /** An attribute that is a number, else undefined. */
  number(key: string): number | undefined
}

/** A message that lies `at` to `end`, and the number of its KeyValue fields. */
export interface Message {
  readonly bytes: Uint8Array
  readonly at: number
  readonly end: number
  readonly field: number
}

/**
 * Notes in one pass where a few known keys stand among many attributes, and reads a value when it is asked for: a third of the cost
 * of a map of all (other keys are found, too, at that cost). One is used for many messages, one after another. As in `readAttributes` the first of equal keys counts.
 */
export class PickedAttributes implements AttributeReader {
  private readonly places = new Map<string, number>()
  private readonly keys: readonly string[]
  /** Place + 1 of the keys by a hash of length and two bytes; those that share a slot are chained by `next`. */
  private readonly slots = new Uint8Array(slotCount)
  private readonly next: Uint8Array
  /** Where the KeyValue of each key begins, at its length, in the message read last; 0 where there is none. */
  private readonly found: Int32Array
  private message: Message = { bytes: new Uint8Array(0), at: 0, end: 0, field: 0 }

  /** Whether any of the first keys, those that are `rare`, is in the message. */
  hasRare = false
  private readonly rareCount: number

  /** Together at most 254 keys, of ASCII. */
  constructor({ rare, usual }: { rare: readonly string[]; usual: readonly string[] }) {
    const keys = [...rare, ...usual]
    this.keys = keys
    this.rareCount = rare.length
    this.next = new Uint8Array(keys.length + 1)
    this.found = new Int32Array(keys.length)
    for (const [place, key] of keys.entries()) {
      this.places.set(key, place)
      const slot = slotOf(key.length, key.charCodeAt(key.length - 1), key.charCodeAt(key.length >> 1))
      this.next[place + 1] = this.slots[slot]!
      this.slots[slot] = place + 1
    }
  }

  /** Looks through the message, which must not change before the next call. */
  pick(message: Message): this {
    this.message = message
    const { found } = this
    found.fill(0)
    this.hasRare = false
    const { bytes, end: to } = message
    const wanted = message.field * 8 + wireBytes
    const cursor: Cursor = { bytes, at: message.at, end: to }
    while (cursor.at < to) {
      const tag = readVarint(cursor)
      if (tag !== wanted) {
        skipValue(cursor, tag & 7)
        continue
      }
      const { at } = cursor
      const length = readVarint(cursor)
      const end = cursor.at + length
      let place = this.placeOfKey(bytes, cursor.at, end)
      if (place === unusual) place = this.places.get(readKeyValueAt(bytes, at).key) ?? -1
      if (place >= 0 && found[place] === 0) {
        found[place] = at
        if (place < this.rareCount) this.hasRare = true
      }
      cursor.at = end
    }
    return this
  }

  attribute(key: string): AttributeValue | undefined {
    const place = this.places.get(key)
    if (place === undefined) return readAttributes({ ...this.message }, this.message.field).get(key)
    const at = this.found[place]!
    return at === 0 ? undefined : readKeyValueAt(this.message.bytes, at).value
  }

  text(key: string): string {
    const value = this.attribute(key)
    return typeof value === 'string' ? value : ''
  }

  number(key: string): number | undefined {
    const value = this.attribute(key)
    return typeof value === 'number' ? value : undefined
  }

  /** The place of the key of the KeyValue that lies `at` to `end`, -1 if it is none of ours, or `unusual`. */
  private placeOfKey(bytes: Uint8Array, at: number, end: number): number {
    const keyLength = bytes[at + 1]!
    const keyAt = at + 2
    const keyEnd = keyAt + keyLength
    // As every encoder writes it: one key, then one value that fills the rest.
    if (bytes[at] === keyTag && keyLength < 128 && keyLength > 0 && isOneValue(bytes, keyEnd, end)) {
      let link = this.slots[slotOf(keyLength, bytes[keyEnd - 1]!, bytes[keyAt + (keyLength >> 1)]!)]!
      for (; link > 0; link = this.next[link]!) {
        if (isText(bytes, keyAt, keyEnd, this.keys[link - 1]!)) return link - 1
      }
      return -1
    }
    return unusual
  }
}

/** A KeyValue in an order, or in parts, that no encoder writes but protobuf allows. */
const unusual = -2

const slotCount = 256

function slotOf(length: number, last: number, middle: number): number {
  return (length * 37 + last * 11 + middle * 5) & (slotCount - 1)
}

function isOneValue(bytes: Uint8Array, at: number, end: number): boolean {
  if (at === end) return true
  if (at > end || bytes[at] !== valueTag) return false
  const cursor: Cursor = { bytes, at: at + 1, end }
  const length = readVarint(cursor)
  return cursor.at + length === end
}

const keyTag = (1 << 3) | wireBytes
const valueTag = (2 << 3) | wireBytes
