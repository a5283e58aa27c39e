import { keysOfFields } from '../../formats/propagation/keys.ts'
import { fieldsOfSqlComments } from '../../formats/propagation/sql-comment.ts'
import { commentsOf, normaliseSql } from '../sql.ts'
import type { NormalisedSql } from '../sql.ts'
import { readLength, readText, readUint16, readUint32 } from './fields.ts'

/** What the server answers with; `none`: nothing. */
export type AnswerKind =
  'ok' | 'result' | 'prepare' | 'rows' | 'fields' | 'text' | 'login' | 'none' | 'stream'

export interface Command {
  readonly kind: AnswerKind
  /** SQL verb or the command's own name. */
  readonly operation: string
  readonly summary: string
  /** Normalised; '' where the command carries none or it was not seen. */
  readonly text: string
  readonly collection: string
  /** Database that is in use when this succeeds; '' for no change. */
  readonly database: string
  /** `fullspan.key.*` attributes of the ids that the statement carries in its comments (sqlcommenter, Datadog). */
  readonly keys: Readonly<Record<string, string>>
  readonly isCut: boolean
  /** Of COM_QUERY and COM_STMT_PREPARE. */
  readonly statement: NormalisedSql | undefined
}

/** Statements that one connection has prepared, by id. */
export interface Statements {
  get(id: number): NormalisedSql | undefined
}

const byCode: Readonly<Record<number, readonly [operation: string, kind: AnswerKind]>> = {
  0x01: ['QUIT', 'none'],
  0x02: ['USE', 'ok'],
  0x03: ['QUERY', 'result'],
  0x04: ['FIELD_LIST', 'fields'],
  0x05: ['CREATE_DB', 'ok'],
  0x06: ['DROP_DB', 'ok'],
  0x07: ['REFRESH', 'ok'],
  0x08: ['SHUTDOWN', 'ok'],
  0x09: ['STATISTICS', 'text'],
  0x0a: ['PROCESS_INFO', 'result'],
  0x0c: ['PROCESS_KILL', 'ok'],
  0x0d: ['DEBUG', 'ok'],
  0x0e: ['PING', 'ok'],
  0x11: ['CHANGE_USER', 'login'],
  0x12: ['BINLOG_DUMP', 'stream'],
  0x13: ['TABLE_DUMP', 'stream'],
  0x15: ['REGISTER_SLAVE', 'ok'],
  0x16: ['PREPARE', 'prepare'],
  0x17: ['EXECUTE', 'result'],
  0x18: ['SEND_LONG_DATA', 'none'],
  0x19: ['CLOSE', 'none'],
  0x1a: ['RESET', 'ok'],
  0x1b: ['SET_OPTION', 'ok'],
  0x1c: ['FETCH', 'rows'],
  0x1e: ['BINLOG_DUMP_GTID', 'stream'],
  0x1f: ['RESET_CONNECTION', 'ok'],
}

/** undefined: no command that MySQL or MariaDB knows. `hasAttributes`: undefined when the login was not seen. */
export function parseCommand(
  payload: Uint8Array,
  length: number,
  context: { readonly statements: Statements; readonly hasAttributes: boolean | undefined },
): Command | undefined {
  const code = payload[0] ?? 0
  const [operation, kind] = byCode[code] ?? []
  if (operation === undefined || kind === undefined) return undefined
  const plain = {
    kind,
    operation,
    summary: operation,
    text: '',
    collection: '',
    database: '',
    keys: {},
    isCut: false,
    statement: undefined,
  }
  if (code === 0x02) {
    const database = readText(payload, 1, payload.length)
    return { ...plain, database, text: `USE ${database}` }
  }
  if (code === 0x03 || code === 0x16) {
    const from = code === 0x03 ? 1 + attributesLength(payload.subarray(1), context.hasAttributes) : 1
    return statementCommand(plain, readText(payload, from, payload.length), payload.length < length)
  }
  if (code === 0x17) {
    const prepared = context.statements.get(readUint32(payload, 1))
    return prepared === undefined
      ? plain
      : { ...plain, ...prepared, operation: prepared.operation || operation }
  }
  return plain
}

function statementCommand(plain: Command, sql: string, isCut: boolean): Command {
  const normal = normaliseSql(sql)
  const isPrepare = plain.kind === 'prepare'
  const summary = normal.summary === '' ? plain.operation : normal.summary
  return {
    ...plain,
    ...normal,
    operation: isPrepare || normal.operation === '' ? plain.operation : normal.operation,
    summary: isPrepare ? `PREPARE ${normal.summary}`.trimEnd() : summary,
    database: normal.operation === 'USE' ? (/^\s*use\s+`?([^`;\s]+)/i.exec(sql)?.[1] ?? '') : '',
    keys: keysOfFields(fieldsOfSqlComments(commentsOf(sql))),
    isCut,
    statement: normal,
  }
}

/** Bytes before the statement of COM_QUERY with CLIENT_QUERY_ATTRIBUTES (8.0.23): counts, null bitmap, types, values. */
export function attributesLength(payload: Uint8Array, hasAttributes: boolean | undefined): number {
  if (hasAttributes === false) return 0
  const count = readLength(payload, 0)
  // no statement starts with these bytes: without the login they are the sign that attributes are in use
  const isSure = hasAttributes === true || (payload[0] === 0 && payload[1] === 1)
  if (!isSure || count === undefined) return 0
  const sets = readLength(payload, count.end)
  if (sets === undefined) return 0
  if (count.value === 0) return sets.end
  return skipAttributes(payload, sets.end, count.value) ?? payload.length
}

/** Fixed sizes of binary values by type; 0xfe and others are length-encoded strings. */
const fixedSizes: Readonly<Record<number, number>> = { 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 0, 8: 8, 9: 4, 13: 2 }
const prefixedTypes = new Set([7, 10, 11, 12]) // dates and times: one byte of length

function skipAttributes(payload: Uint8Array, from: number, count: number): number | undefined {
  const bitmap = from
  let at = from + ((count + 7) >> 3) + 1
  const types: number[] = []
  for (let index = 0; index < count; index++) {
    types.push(readUint16(payload, at) & 0xff)
    const name = readLength(payload, at + 2)
    if (name === undefined) return undefined
    at = name.end + name.value
    if (at > payload.length) return undefined
  }
  for (const [index, type] of types.entries()) {
    if (((payload[bitmap + (index >> 3)] ?? 0) >> (index & 7)) & 1) continue
    const fixed = fixedSizes[type]
    if (fixed !== undefined) at += fixed
    else if (prefixedTypes.has(type)) at += 1 + (payload[at] ?? 0)
    else {
      const value = readLength(payload, at)
      if (value === undefined) return undefined
      at = value.end + value.value
    }
    if (at > payload.length) return undefined
  }
  return at
}
