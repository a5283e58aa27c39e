import type { Verdict } from '../protocol.ts'
import { isSqlVerb } from '../sql.ts'
import { attributesLength } from './command.ts'
import { readText } from './fields.ts'
import { parseGreeting } from './handshake.ts'

/** The server's greeting; or, on a connection that is older than the probe, a command that cannot be much else. */
export function recognise(head: Uint8Array, length: number): Verdict {
  if (head.length < 5) return head.length === 4 && head[3] !== 0 ? 'no' : 'more'
  return head[4] === 10 ? recogniseGreeting(head) : recogniseCommand(head, length)
}

function recogniseGreeting(head: Uint8Array): Verdict {
  const packetLength = lengthOf(head)
  if (head[3] !== 0 || packetLength < 40 || packetLength > 512) return 'no'
  if (parseGreeting(head.subarray(4)) !== undefined) return 'server'
  return /^(?:[\d.][\x20-\x7e]*)?$/.test(readText(head, 5, Math.min(head.length, 85))) && head.length < 85
    ? 'more'
    : 'no'
}

/** First packet of a turn: sequence number 0, a length that fits, and what the command must hold. */
export function recogniseCommand(head: Uint8Array, length: number): Verdict {
  if (head.length < 5) return head.length === 4 && head[3] !== 0 ? 'no' : 'more'
  const packetLength = lengthOf(head)
  if (head[3] !== 0 || packetLength === 0) return 'no'
  const isWhole = head.length >= 4 + packetLength
  switch (head[4]) {
    case 0x03:
    case 0x16:
      return recogniseStatement(head.subarray(5, 4 + packetLength), isWhole || length > head.length)
    case 0x17:
      if (packetLength < 10) return 'no'
      if (head.length < 14) return 'more'
      return head[9]! <= 7 && head[10] === 1 && head[11] === 0 && head[12] === 0 && head[13] === 0
        ? 'client'
        : 'no'
    case 0x0e:
      return packetLength === 1 && length === 5 ? 'client' : 'no'
    case 0x02:
      return recogniseInitDb(head, length, packetLength)
    case 0x19:
      return packetLength !== 5 ? 'no' : head.length < 9 ? 'more' : 'client'
    default:
      return 'no'
  }
}

function recogniseStatement(statement: Uint8Array, isAll: boolean): Verdict {
  const from = attributesLength(statement, undefined)
  const text = readText(statement, from, Math.min(statement.length, from + 200)).replace(
    /^(?:\s|\(|\/\*[^]*?\*\/)+/,
    '',
  )
  const word = /^[A-Za-z]{0,16}/.exec(text)?.[0] ?? ''
  if (word.length === text.length && !isAll) return 'more'
  return isSqlVerb(word) || /^\/\*/.test(text) ? 'client' : 'no'
}

function recogniseInitDb(head: Uint8Array, length: number, packetLength: number): Verdict {
  if (packetLength < 2 || packetLength > 65 || length > packetLength + 4) return 'no'
  if (head.length < packetLength + 4) return 'more'
  return /^[\w$-]+$/.test(readText(head, 5, 4 + packetLength)) ? 'client' : 'no'
}

function lengthOf(head: Uint8Array): number {
  return head[0]! | (head[1]! << 8) | (head[2]! << 16)
}
