import { names } from '../../model/attribute-names.ts'
import type { AttributeValue, Exchange, ExchangeError, Message } from '../protocol.ts'
import type { Command } from './command.ts'
import type { RespValue } from './resp-reader.ts'

/** By OpenTelemetry's conventions for Redis client calls. `database`: '' while it is not known. */
export function toExchange(
  request: { readonly message: Message; readonly command: Command },
  database: string,
  response: { readonly message: Message; readonly value: RespValue | undefined } | undefined,
): Exchange {
  const { operation, text } = request.command
  const error = errorOf(response?.value)
  const attributes: Record<string, AttributeValue> = {
    [names.networkProtocolName]: 'redis',
    [names.dbSystemName]: 'redis',
    [names.dbOperationName]: operation,
    [names.dbQueryText]: text,
    ...(database !== '' && { [names.dbNamespace]: database }),
    ...(error !== undefined && { [names.dbResponseStatusCode]: error.type }),
  }
  return {
    request: request.message,
    response: response?.message,
    name: operation,
    attributes,
    error,
    isTruncated: false,
  }
}

/** `-WRONGTYPE Operation against …`: the first word is the code. Servers echo arguments in quotes and behind `args`: cut. */
function errorOf(value: RespValue | undefined): ExchangeError | undefined {
  if (value?.type !== '-' && value?.type !== '!') return undefined
  const text = value.type === '-' ? value.line : (value.words[0] ?? '')
  const type = /^[A-Z][A-Z0-9_]{0,31}(?= |$)/.exec(text)?.[0] ?? 'ERR'
  const message = text.replace(/, with args beginning with:.*$/, '').replace(/(['"`]).*\1/g, '?')
  return { type, message: message.slice(0, 256), countsFor: 'both' }
}
