import { defineProtocol } from '../protocol.ts'
import type { Transport, Verdict } from '../protocol.ts'
import { createDecoder } from './decoder.ts'
import { parseDns } from './message.ts'

/** DNS by UDP and TCP (RFC 1035): questions and their answers, paired by transaction id and question. */
export default defineProtocol({ type: 'dns', transports: ['udp', 'tcp'], recognise, createDecoder })

/** By TCP a message has its length before it (§4.2.2). */
function recognise(head: Uint8Array, length: number, transport: Transport): Verdict {
  if (transport === 'udp') return verdictOf(head, length)
  if (head.length < 2) return 'more'
  const messageLength = (head[0]! << 8) | head[1]!
  if (messageLength < 17 || messageLength > 8192) return 'no'
  if (head.length < 14) return 'more'
  if ((head[4]! & 0x70) > 0x30 || head[6] !== 0 || head[7]! > 1) return 'no' // opcode, number of questions
  const verdict = verdictOf(head.subarray(2, 2 + messageLength), messageLength)
  return verdict === 'no' && head.length < Math.min(2 + messageLength, 512) ? 'more' : verdict
}

function verdictOf(bytes: Uint8Array, length: number): Verdict {
  const message = parseDns(bytes, length)
  if (message === undefined || message.name === '') return 'no'
  return message.isResponse ? 'server' : 'client'
}
