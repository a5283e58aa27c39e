#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { FullspanError } from '../core/errors.ts'
import { run } from './run.ts'
import { version } from './version.ts'

/** The one place that prints errors and exits. Exit codes: 0 well, 1 config or start, 2 wrong use, 3 dropped at shutdown. */
async function main(): Promise<void> {
  const program = new Command('fullspan')
    .description('Puts the whole stack of a request into one trace.')
    .version(version())
    .exitOverride()
  withConfig(program.command('run', { isDefault: true }).description('start the collector')).action(
    async (options: ConfigOptions) => {
      process.exitCode = await run(options, code => process.exit(code))
    },
  )
  await program.parseAsync()
}

export interface ConfigOptions {
  readonly config: readonly string[]
  readonly set: readonly string[]
}

function withConfig(command: Command): Command {
  const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value]
  return command
    .option('--config <file>', 'JSON or YAML; may be repeated, later files win', collect, [])
    .option('--set <path=value>', 'one setting, such as processors.batch.timeout=2s', collect, [])
}

try {
  await main()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.exitCode = 1
    console.error(error instanceof FullspanError ? error.message : error)
  }
}
