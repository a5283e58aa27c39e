import { names } from '../../model/attribute-names.ts'
import type { AttributeValue, Exchange, ExchangeError, Message } from '../protocol.ts'
import type { ServerError } from './answer.ts'
import type { Command } from './command.ts'

export interface Session {
  /** `mysql` or `mariadb`. */
  readonly system: string
  /** '' while it is not known. */
  readonly database: string
}

/** By OpenTelemetry's conventions for SQL databases (stable since 1.33). */
export function toExchange(
  request: { readonly message: Message; readonly command: Command; readonly session: Session },
  response: { readonly message: Message; readonly error: ServerError | undefined } | undefined,
): Exchange {
  const { command, session } = request
  const error = errorOf(response?.error)
  const attributes: Record<string, AttributeValue> = {
    [names.networkProtocolName]: 'mysql',
    [names.dbSystemName]: session.system,
    [names.dbOperationName]: command.operation,
    ...(command.text !== '' && { [names.dbQueryText]: command.text }),
    ...(command.text !== '' && { [names.dbQuerySummary]: command.summary }),
    ...(command.collection !== '' && { [names.dbCollectionName]: command.collection }),
    ...(session.database !== '' && { [names.dbNamespace]: session.database }),
    ...command.keys,
    ...(error !== undefined && { [names.dbResponseStatusCode]: error.type }),
  }
  return {
    request: request.message,
    response: response?.message,
    name: command.summary,
    attributes,
    error,
    isTruncated: command.isCut,
  }
}

/** Errors whose quoted parts are names of users, databases, tables and columns; in all others they may be values. */
const namesOnly = new Set([
  1007, 1008, 1044, 1045, 1046, 1049, 1050, 1051, 1054, 1060, 1061, 1091, 1109, 1142, 1146, 1305,
])

function errorOf(error: ServerError | undefined): ExchangeError | undefined {
  if (error === undefined) return undefined
  const message = namesOnly.has(error.code) ? error.message : error.message.replace(/(['"]).*\1/g, '?')
  return { type: String(error.code), message: message.slice(0, 256), countsFor: 'both' }
}
