import type { AnswerKind } from './command.ts'
import { readLength, readText, readUint16, readUint32 } from './fields.ts'

export interface ServerError {
  readonly code: number
  readonly message: string
}

/** Follows the packets of one answer to its end. */
export interface Answer {
  /** Takes the next packet; true when it was the last. */
  take(payload: Uint8Array, length: number): boolean
  error(): ServerError | undefined
  /** Id of the statement that was prepared. */
  statementId(): number | undefined
  /** Only the first byte of the packets to come matters. */
  isInBulk(): boolean
}

const moreResults = 0x8
const cursorExists = 0x40
const longestPacket = 0xffffff
const progressReport = 0xffff // MariaDB: an ERR packet that is none

/** `deprecateEof`: what the login agreed on; undefined when it was not seen: then the packets tell. */
export function createAnswer(kind: AnswerKind, deprecateEof: boolean | undefined): Answer {
  let stage: 'first' | 'columns' | 'after_columns' | 'rows' | 'definitions' =
    kind === 'rows' || kind === 'fields' ? 'rows' : 'first'
  let left = 0
  let statementId: number | undefined
  let error: ServerError | undefined

  function take(payload: Uint8Array, length: number): boolean {
    const first = payload[0] ?? 0
    if (first === 0xff) return takeError(payload)
    if (stage === 'first') return takeFirst(first, payload, length)
    if (stage === 'definitions') return takeDefinition(first, length)
    if (stage === 'columns') {
      if (--left === 0) stage = 'after_columns'
      return false
    }
    const isEnd = first === 0xfe && length < longestPacket
    if (stage === 'after_columns') {
      stage = 'rows'
      if (isEnd && length === 5) return (readUint16(payload, 3) & cursorExists) !== 0
    }
    return isEnd && endResult(payload, length)
  }

  function takeError(payload: Uint8Array): boolean {
    const code = readUint16(payload, 1)
    if (code === progressReport) return false
    const textAt = payload[3] === 35 ? 9 : 3 // '#' and five characters of SQL state
    error = { code, message: readText(payload, textAt, payload.length) }
    return true
  }

  function takeFirst(first: number, payload: Uint8Array, length: number): boolean {
    if (kind === 'login') return first === 0
    if (kind === 'prepare' && first === 0 && length >= 12) return takePrepared(payload)
    if (kind !== 'result') return true
    if (first === 0) return !hasMoreResults(payload)
    if (first === 0xfb) return false // LOAD DATA LOCAL: the client sends a file, then comes OK
    if (first === 0xfe) return true
    const count = readLength(payload, 0)
    if (count === undefined || count.value === 0) return true
    left = count.value
    stage = 'columns'
    const isWithoutMetadata = length === count.end + 1 && payload[count.end] === 0
    if (isWithoutMetadata) stage = 'after_columns'
    return false
  }

  function takePrepared(payload: Uint8Array): boolean {
    statementId = readUint32(payload, 1)
    const groups = [readUint16(payload, 7), readUint16(payload, 5)].filter(size => size > 0)
    left = groups.reduce((sum, size) => sum + size, 0)
    // An EOF packet ends each group unless the login agreed otherwise; if that is not known, a last one is passed over.
    if (deprecateEof === false) left += groups.length
    stage = 'definitions'
    return left === 0
  }

  function takeDefinition(first: number, length: number): boolean {
    if (deprecateEof === undefined && first === 0xfe && length === 5) return false
    return --left === 0
  }

  function endResult(payload: Uint8Array, length: number): boolean {
    const more = length === 5 ? (readUint16(payload, 3) & moreResults) !== 0 : hasMoreResults(payload)
    if (more && kind === 'result') stage = 'first'
    return !more || kind !== 'result'
  }

  return {
    take,
    error: () => error,
    statementId: () => statementId,
    isInBulk: () => stage === 'rows' || stage === 'columns' || stage === 'definitions',
  }
}

/** OK packet: header, affected rows, last insert id, status flags. */
function hasMoreResults(payload: Uint8Array): boolean {
  const affected = readLength(payload, 1)
  const insertId = affected === undefined ? undefined : readLength(payload, affected.end)
  return insertId !== undefined && (readUint16(payload, insertId.end) & moreResults) !== 0
}
