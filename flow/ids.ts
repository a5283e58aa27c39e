import { names } from '../model/attribute-names.ts'
import type { SeenExchange } from './conversation.ts'
import { startHashOf } from './message.ts'
import { addWord, copyOf, finish, hashOfText, hexOf, type MixedHash } from './mixed-hash.ts'

/** The part of a span's id that is the same for all exchanges of one capture point with the same message id. */
export function spanPlaceOf(parts: readonly (string | number | bigint)[], messageId: string): MixedHash {
  return hashOfText(`${parts.join(' ')}\n${messageId}`)
}

/** 64 bits, in `a` and `b`, that are the same in a replay. */
export function spanWordsOf(place: MixedHash, seq: number, firstNs: bigint): MixedHash {
  const hash = copyOf(place)
  addWord(hash, seq)
  addWord(hash, Number(BigInt.asUintN(32, firstNs)))
  addWord(hash, Number(firstNs >> 32n))
  finish(hash)
  if (hash.a === 0 && hash.b === 0) hash.b = 1 // an id of zeros is none
  return hash
}

/** 16 hex digits. */
export function spanIdOf(place: MixedHash, seq: number, firstNs: bigint): string {
  const { a, b } = spanWordsOf(place, seq, firstNs)
  return hexOf(a, b)
}

/** The same of a trace's id: what its exchanges have in common besides sequence numbers. */
export function traceKeyOf(exchange: SeenExchange, transport: string, fallback: string): MixedHash {
  const { request, response } = exchange
  const key = [transport, startHashOf(request)]
  if (transport === 'udp')
    key.push(messageIdOf(exchange), response === undefined ? '' : startHashOf(response))
  else if (transport !== 'tcp') key.push(fallback)
  return hashOfText(key.join(' '))
}

export function traceWordsOf(key: MixedHash, requestSeq: number, responseSeq: number | undefined): MixedHash {
  const hash = copyOf(key)
  addWord(hash, requestSeq)
  if (responseSeq !== undefined) addWord(hash, responseSeq)
  return finish(hash)
}

/**
 * The provisional trace id of an exchange: made of what every capture point on its way sees alike, across NAT too. That is
 * for TCP the sequence numbers of both first bytes, else the protocol's own id, and the hash of the first bytes.
 * `fallback`: for exchanges without any of these.
 */
export function traceIdOf(exchange: SeenExchange, transport: string, fallback: string): string {
  const { request, response } = exchange
  const isNumbered = transport === 'tcp'
  const { a, b, c, d } = traceWordsOf(
    traceKeyOf(exchange, transport, fallback),
    isNumbered ? request.seq : 0,
    isNumbered && !isEncrypted(exchange) ? response?.seq : 0,
  )
  return hexOf(a, b, c, d)
}

/** Where an encrypted response begins, who has no key only guesses: tickets look the same. */
function isEncrypted({ protocol, request }: SeenExchange): boolean {
  return protocol === 'tls' || request.wireHash !== undefined
}

/** The protocol's own id of the exchange, or ''. */
export function messageIdOf({ attributes }: SeenExchange): string {
  const id = attributes[names.keyMessageId]
  return typeof id === 'string' ? id : ''
}
