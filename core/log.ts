import { pino, stdSerializers, type DestinationStream, type Logger as Pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Logger } from './component.ts'
import { FullspanError } from './errors.ts'

export interface LogSettings {
  /** debug, info, warn or error, in any case. */
  readonly level: string
  readonly encoding: 'console' | 'json'
}

export interface RootLogger extends Logger {
  child(fields: Readonly<Record<string, string>>): Logger
}

/** The log of this process. Goes to standard error, because standard output may be carrying data. Writes synchronously. */
export function createLogger({ level, encoding }: LogSettings, destination?: DestinationStream): RootLogger {
  const output = destination ?? standardError()
  const isTerminal = destination === undefined && process.stderr.isTTY
  const useColour = isTerminal && process.env['NO_COLOR'] === undefined
  const options = {
    level: level.toLowerCase(),
    base: null,
    serializers: { err: serializeError },
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return wrap(pino(options, encoding === 'json' ? output : asText(output, { isTerminal, useColour })))
}

/** Nobody reading the log any more is no reason to end. */
function standardError(): DestinationStream {
  const stream = pino.destination({ dest: 2, sync: true })
  stream.on('error', () => undefined)
  return stream
}

function asText(
  output: DestinationStream,
  { isTerminal, useColour }: { isTerminal: boolean; useColour: boolean },
): DestinationStream {
  const format = prettyFactory({
    colorize: useColour,
    translateTime: isTerminal ? 'SYS:HH:MM:ss.l' : "UTC:yyyy-mm-dd'T'HH:MM:ss.l'Z'",
    ignore: 'kind',
    singleLine: true,
  })
  return { write: line => output.write(format(line)) }
}

/** What went wrong on purpose is its message; anything else keeps its stack. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof FullspanError))
    return error instanceof Error ? stdSerializers.err(error) : String(error)
  const cause = error.cause instanceof Error ? error.cause.message : ''
  // Many messages have the words of their cause already.
  return `${error.code}: ${error.message}${error.message.includes(cause) ? '' : ` (${cause})`}`
}

function wrap(logger: Pino): RootLogger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: fields => wrap(logger.child(fields)),
  }
}
