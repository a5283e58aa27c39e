import { hash } from 'node:crypto'
import { names } from '../model/attribute-names.ts'
import type { SeenExchange } from './conversation.ts'
import { startHashOf } from './message.ts'

/** 16 hex digits that are the same in a replay. `parts` name the exchange at its capture point. */
export function spanIdOf(...parts: readonly (string | number | bigint)[]): string {
  return hash('sha256', parts.join(' '), 'hex').slice(0, 16)
}

/**
 * The provisional trace id of an exchange: made of what every capture point on its way sees alike, across NAT too. That is
 * for TCP the sequence numbers of both first bytes, else the protocol's own id, and the hash of the first bytes.
 * `fallback`: for exchanges without any of these.
 */
export function traceIdOf(exchange: SeenExchange, transport: string, fallback: string): string {
  const { request, response } = exchange
  const key = [startHashOf(request)]
  if (transport === 'tcp') key.push(String(request.seq), String(response?.seq ?? ''))
  else if (transport === 'udp')
    key.push(messageIdOf(exchange), response === undefined ? '' : startHashOf(response))
  else key.push(fallback)
  return hash('sha256', key.join(' '), 'hex').slice(0, 32)
}

/** The protocol's own id of the exchange, or ''. */
export function messageIdOf({ attributes }: SeenExchange): string {
  const id = attributes[names.keyMessageId]
  return typeof id === 'string' ? id : ''
}
