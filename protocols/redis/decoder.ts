import type { Decoder, Message, Recorder, Speaker } from '../protocol.ts'
import { endsDecoding, toCommand } from './command.ts'
import type { Command } from './command.ts'
import { toExchange } from './exchange.ts'
import { createRespReader, goesOn, isLost } from './resp-reader.ts'
import type { RespReader, RespValue } from './resp-reader.ts'

/** Commands that wait for their reply; those of a longer pipeline are passed over, not mispaired. */
const maximumPending = 4096

interface Side {
  readonly from: Speaker
  readonly reader: RespReader
  message: Message | undefined
  /** Waits for this end's next turn. */
  isLost: boolean
  /** After that: only what certainly is a command counts. */
  isJoining: boolean
}

interface Waiting {
  readonly message: Message
  readonly command: Command
}

export function createDecoder(recorder: Recorder): Decoder {
  const client: Side = createSide('client')
  const server: Side = createSide('server')
  const pending: Waiting[] = []
  let passedOver = 0
  /** Database in use; '' while it is not known. */
  let database = ''
  let isSubscribed = false
  let isPairingUnsure = false
  let isStopped = false
  /** A reply of which only the start could be followed: it ends with the server's turn. */
  let openEnded: Message | undefined

  function push(from: Speaker, bytes: Uint8Array, length: number): void {
    const side = from === 'client' ? client : server
    let at = 0
    while (at < length && !side.isLost && !isStopped) {
      if (side.message === undefined && at >= bytes.length) {
        lose(side)
        return
      }
      if (side.isJoining && from === 'client' && bytes[at] !== asterisk) {
        lose(side)
        return
      }
      side.isJoining = false
      side.message ??= recorder.begin(from, at)
      const end = side.reader.feed(bytes, length, at)
      if (end === isLost) lose(side)
      if (end === isLost || end === goesOn) return
      at = end
      endMessage(side, at)
    }
  }

  function endMessage(side: Side, at: number): void {
    const message = side.message!
    const value = side.reader.value()
    side.reader.reset()
    side.message = undefined
    recorder.end(message, at)
    if (side === client) takeCommand(message, value)
    else takeReply(message, value)
  }

  function takeCommand(message: Message, value: RespValue): void {
    if (value.words.length === 0) return // an empty inline line
    const command = toCommand(value)
    if (command === undefined) {
      lose(client)
      return
    }
    if (isPairingUnsure) giveUpPending()
    if (pending.length >= maximumPending || passedOver > 0) passedOver++
    else pending.push({ message, command })
    if (endsDecoding(command)) {
      isStopped = true
      recorder.stop()
    }
  }

  function takeReply(message: Message, value: RespValue): void {
    if (isPushed(value)) return
    const waiting = pending.shift()
    if (waiting === undefined) {
      if (passedOver > 0) passedOver--
      return
    }
    const { operation, argument } = waiting.command
    if (operation === 'SELECT' && value.line === 'OK' && /^\d{1,9}$/.test(argument)) database = argument
    if (subscriptions.has(operation.toLowerCase())) isSubscribed = true
    recorder.exchange(toExchange(waiting, database, { message, value }))
  }

  /** Published messages answer nothing; of a subscription to several channels only the first confirmation does. */
  function isPushed(value: RespValue): boolean {
    const kind = (value.words[0] ?? '').toLowerCase()
    const isConfirmation = subscriptions.has(kind) && (value.type === '*' || value.type === '>')
    if (isConfirmation) return pending[0]?.command.operation.toLowerCase() !== kind
    return value.type === '>' || (isSubscribed && value.type === '*' && publications.has(kind))
  }

  function lose(side: Side): void {
    if (side === server) openEnded = side.message
    side.isLost = true
    side.message = undefined
    side.reader.reset()
    isPairingUnsure = true
  }

  function endOpenEnded(): void {
    const message = openEnded
    openEnded = undefined
    if (message === undefined) return
    recorder.endBefore(message)
    const waiting = pending.shift()
    if (waiting === undefined) return
    const exchange = toExchange(waiting, database, { message, value: undefined })
    recorder.exchange({ ...exchange, isTruncated: true })
  }

  /** Bytes of unknown content may have held replies: what waits now may wait for one that went by. */
  function giveUpPending(): void {
    for (const waiting of pending.splice(0)) {
      const exchange = toExchange(waiting, database, undefined)
      recorder.exchange({ ...exchange, isTruncated: isPairingUnsure })
    }
    passedOver = 0
    isPairingUnsure = false
  }

  return {
    push,
    turn(from) {
      const side = from === 'client' ? client : server
      if (from === 'client') endOpenEnded()
      if (!side.isLost) return
      side.isLost = false
      side.isJoining = true
    },
    quiet: endOpenEnded,
    close() {
      endOpenEnded()
      giveUpPending()
    },
  }
}

const asterisk = 42

const subscriptions = new Set([
  'subscribe',
  'psubscribe',
  'ssubscribe',
  'unsubscribe',
  'punsubscribe',
  'sunsubscribe',
])
const publications = new Set(['message', 'pmessage', 'smessage'])

function createSide(from: Speaker): Side {
  return {
    from,
    reader: createRespReader(from === 'client'),
    message: undefined,
    isLost: false,
    isJoining: false,
  }
}
