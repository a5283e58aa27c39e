import type { Decoder, Message, Recorder, Speaker } from '../protocol.ts'
import type { NormalisedSql } from '../sql.ts'
import { createAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import { parseCommand } from './command.ts'
import type { Command } from './command.ts'
import { readUint32 } from './fields.ts'
import { toExchange } from './exchange.ts'
import type { Session } from './exchange.ts'
import { capability, parseGreeting, parseLogin } from './handshake.ts'
import type { Login } from './handshake.ts'
import { createPackets, goesOn, isLost, maximumKeptBytes } from './packets.ts'
import type { Packets } from './packets.ts'
import { recogniseCommand } from './recognise.ts'

/** Clients that send ahead are rare: who has so much unanswered is not followed any more. */
const maximumPending = 64
const maximumStatements = 256
/** MariaDB: "the statement prepared last". */
const lastPrepared = 0xffffffff

interface Side {
  readonly from: Speaker
  readonly packets: Packets
  message: Message | undefined
  /** Waits for this end's next turn. */
  isLost: boolean
  /** After that: only what certainly is a packet of its kind counts. */
  isJoining: boolean
}

interface Waiting {
  readonly message: Message
  readonly command: Command
  readonly session: Session
  readonly answer: Answer
}

export function createDecoder(recorder: Recorder): Decoder {
  const client = createSide('client')
  const server = createSide('server')
  const pending: Waiting[] = []
  const statements = createStatements()
  let session: Session = { system: 'mysql', database: '' }
  let serverCapabilities: number | undefined
  let login: Login | undefined
  let isLoggingIn = false
  let isPairingUnsure = false
  let isStopped = false

  function push(from: Speaker, bytes: Uint8Array, length: number): void {
    const side = from === 'client' ? client : server
    let at = 0
    while (at < length && !side.isLost && !isStopped) {
      if (side.packets.isBetween() && at >= bytes.length) {
        lose(side)
        return
      }
      if (side.isJoining && !isSurelyStart(from, bytes, length, at)) {
        lose(side)
        return
      }
      side.isJoining = false
      side.message ??= recorder.begin(from, at)
      const inBulk = side === server && pending[0]?.answer.isInBulk() === true
      if (side.packets.isBetween()) side.packets.keep(inBulk ? 16 : maximumKeptBytes)
      const end = side.packets.feed(bytes, length, at)
      if (end === isLost) lose(side)
      if (end === isLost || end === goesOn) return
      at = end
      if (side === client) takeClientPacket(at)
      else takeServerPacket(at)
    }
  }

  function takeClientPacket(at: number): void {
    const message = client.message!
    const payload = client.packets.payload()
    const length = client.packets.payloadLength()
    client.message = undefined
    recorder.end(message, at)
    if (isLoggingIn) takeLogin(message, payload, length)
    else if (client.packets.sequence() === 0) takeCommand(message, payload, length)
    else if (pending.length === 0) lose(client)
    // others belong to the command before: a file, or the steps of COM_CHANGE_USER
  }

  function takeLogin(message: Message, payload: Uint8Array, length: number): void {
    if (login !== undefined || client.packets.sequence() === 0) return
    const parsed = parseLogin(payload, length)
    if (parsed.isTlsRequest) {
      stop()
      return
    }
    login = parsed
    session = { ...session, database: parsed.database }
    enqueue(message, { ...loginCommand, database: parsed.database })
  }

  function takeCommand(message: Message, payload: Uint8Array, length: number): void {
    const agreed =
      login && serverCapabilities !== undefined ? login.capabilities & serverCapabilities : undefined
    const hasAttributes = agreed === undefined ? undefined : (agreed & capability.queryAttributes) !== 0
    const command = parseCommand(payload, length, { statements, hasAttributes })
    if (command === undefined) {
      lose(client)
      return
    }
    if (isPairingUnsure) giveUpPending()
    if (command.operation === 'CLOSE') statements.delete(readUint32(payload, 1))
    if (command.kind === 'prepare' && command.statement !== undefined) {
      statements.set(lastPrepared, command.statement)
    }
    if (command.kind === 'stream') stop()
    else if (command.kind !== 'none') enqueue(message, command)
  }

  function enqueue(message: Message, command: Command): void {
    if (pending.length >= maximumPending) {
      stop()
      return
    }
    const agreed =
      login && serverCapabilities !== undefined ? login.capabilities & serverCapabilities : undefined
    const deprecatesEof = agreed === undefined ? undefined : (agreed & capability.deprecateEof) !== 0
    pending.push({ message, command, session, answer: createAnswer(command.kind, deprecatesEof) })
  }

  function takeServerPacket(at: number): void {
    const payload = server.packets.payload()
    const length = server.packets.payloadLength()
    const [waiting] = pending
    if (waiting === undefined) {
      recorder.end(server.message!, at)
      server.message = undefined
      if (server.packets.sequence() === 0) takeGreeting(payload)
    } else if (payload.length === 0 && length > 0) {
      lose(server)
    } else if (waiting.answer.take(payload, length)) {
      endAnswer(waiting, at)
    }
  }

  function takeGreeting(payload: Uint8Array): void {
    const greeting = parseGreeting(payload)
    if (greeting === undefined) return
    serverCapabilities = greeting.capabilities
    session = { system: /mariadb/i.test(greeting.version) ? 'mariadb' : 'mysql', database: '' }
    isLoggingIn = true
    login = undefined
  }

  function endAnswer(waiting: Waiting, at: number): void {
    const message = server.message!
    server.message = undefined
    recorder.end(message, at)
    pending.shift()
    const { command, answer } = waiting
    const error = answer.error()
    if (error === undefined && command.database !== '') session = { ...session, database: command.database }
    const statementId = answer.statementId()
    if (statementId !== undefined && command.statement !== undefined) {
      statements.set(statementId, command.statement)
    }
    // a login is the start of a connection, no request of anyone; but that it failed matters
    if (command.kind !== 'login' || error !== undefined) {
      recorder.exchange(toExchange(waiting, { message, error }))
    }
    if (isLoggingIn) endLogin(error === undefined)
  }

  function endLogin(isIn: boolean): void {
    isLoggingIn = false
    const agreed = (login?.capabilities ?? 0) & (serverCapabilities ?? 0)
    if (!isIn || (agreed & (capability.compress | capability.zstd)) !== 0) stop() // compressed: not followed
  }

  function stop(): void {
    isStopped = true
    giveUpPending()
    recorder.stop()
  }

  function lose(side: Side): void {
    side.isLost = true
    if (side === client) side.message = undefined
    side.packets.reset()
    isPairingUnsure = true
  }

  /** An answer whose packets could not be followed to the end is over when the client speaks again. */
  function endOpenEnded(): void {
    const { message } = server
    if (!server.isLost || message === undefined) return
    server.message = undefined
    recorder.endBefore(message)
    const waiting = pending.shift()
    if (waiting === undefined || waiting.command.kind === 'login') return
    recorder.exchange({ ...toExchange(waiting, { message, error: undefined }), isTruncated: true })
  }

  function giveUpPending(): void {
    for (const waiting of pending.splice(0)) {
      if (waiting.command.kind === 'login') continue
      const exchange = toExchange(waiting, undefined)
      recorder.exchange({ ...exchange, isTruncated: exchange.isTruncated || isPairingUnsure })
    }
    isPairingUnsure = false
  }

  return {
    push,
    turn(from) {
      if (from === 'client') endOpenEnded()
      const side = from === 'client' ? client : server
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

/** The answer to a command begins with sequence number 1. */
function isSurelyStart(from: Speaker, bytes: Uint8Array, length: number, at: number): boolean {
  if (from === 'server') return bytes[at + 3] === undefined || bytes[at + 3] === 1
  const verdict = recogniseCommand(bytes.subarray(at), length - at)
  return verdict === 'client' || verdict === 'more'
}

const loginCommand: Command = {
  kind: 'login',
  operation: 'LOGIN',
  summary: 'LOGIN',
  text: '',
  collection: '',
  database: '',
  keys: {},
  isCut: false,
  statement: undefined,
}

function createSide(from: Speaker): Side {
  return { from, packets: createPackets(), message: undefined, isLost: false, isJoining: false }
}

function createStatements(): Map<number, NormalisedSql> {
  const statements = new Map<number, NormalisedSql>()
  const set = statements.set.bind(statements)
  statements.set = (id, statement) => {
    if (statements.size >= maximumStatements) statements.delete(statements.keys().next().value ?? id)
    return set(id, statement)
  }
  return statements
}
