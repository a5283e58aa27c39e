import { defineProtocol } from '../protocol.ts'
import type { Verdict } from '../protocol.ts'
import { isKnownCommand } from './command.ts'
import { createDecoder } from './decoder.ts'

/** Redis and Valkey: RESP2, RESP3 and inline commands, pipelining, push messages. */
export default defineProtocol({ type: 'redis', transports: ['tcp', 'unix'], recognise, createDecoder })

const firstCommand = /^\*[1-9]\d{0,6}\r\n\$(\d{1,2})\r\n([A-Za-z][A-Za-z0-9._-]*)\r\n/
/** Any proper prefix of `firstCommand`. */
const beginning =
  /^\*(?:[1-9]\d{0,6}(?:\r(?:\n(?:\$(?:\d{1,2}(?:\r(?:\n[A-Za-z0-9._-]{0,64}\r?)?)?)?)?)?)?)?$/

/** A command that Redis knows, as an array of bulk strings. Inline commands are too much like others' (NATS has PING, too). */
function recognise(head: Uint8Array): Verdict {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 96)).toString('latin1')
  const match = firstCommand.exec(text)
  if (match !== null) {
    const [, length = '', name = ''] = match
    return Number(length) === name.length && isKnownCommand(name) ? 'client' : 'no'
  }
  return beginning.test(text) ? 'more' : 'no'
}
