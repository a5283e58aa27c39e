#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import { components } from '../components.ts'
import { wholeSchema } from '../core/config/json-schema.ts'
import { assertValid, loadConfig, type LoadedConfig } from '../core/config/load.ts'
import { formatProblem } from '../core/config/problem.ts'
import { FullspanError } from '../core/errors.ts'
import { explain, type ExplainOptions } from './explain.ts'
import { listComponents } from './list-components.ts'
import { printConfig } from './print-config.ts'
import { record, type RecordOptions } from './record.ts'
import { type ConfigOptions, configFiles, run } from './run.ts'
import { version } from './version.ts'

const exitCodes = `
Exit codes:
  0  it went well
  1  the config is wrong, or something could not start
  2  the command line is wrong
  3  the stop dropped items that could not be delivered in time
`
const examples = `
Examples:
  fullspan run                                     the config that comes with Fullspan
  fullspan run --config pipeline.yaml --set service.telemetry.logs.level=debug
  fullspan validate --config base.yaml --config production.yaml
  fullspan explain --trace 0af7651916cd43dd       why each span of a trace has the parent it has
  fullspan record -o http.rec --port 8080 --duration 30s    events of this machine, to replay anywhere (needs root)
  fullspan schema > fullspan.schema.json           for editors: "$schema": "./fullspan.schema.json"
`

/** The one place that prints errors and exits. */
async function main(): Promise<void> {
  const program = new Command('fullspan')
    .description('Puts the whole stack of a request into one trace: APP, SYS and NET spans.')
    .version(version())
    .addHelpText('after', examples + exitCodes)
    .showSuggestionAfterError()
    .showHelpAfterError('(fullspan --help lists the commands)')
    .exitOverride()
  withConfig(program.command('run').description('start the collector; SIGTERM or SIGINT stops it')).action(
    async (options: ConfigOptions) => {
      process.exitCode = await run(options, code => process.exit(code))
    },
  )
  withConfig(
    program
      .command('validate')
      .description('check a config: one problem a line, exit code 1 if any is an error'),
  ).action(async (options: ConfigOptions) => validate(await load(options), configFiles(options.config)))
  withConfig(
    program
      .command('print-config')
      .description('print the config as it takes effect: joined, defaults filled in, secrets hidden'),
  )
    .addOption(new Option('--format <format>', 'how').choices(['yaml', 'json']).default('yaml'))
    .action(async ({ format, ...options }: ConfigOptions & { format: 'yaml' | 'json' }) => {
      const loaded = await load(options)
      assertValid(loaded.problems)
      process.stdout.write(printConfig(loaded, format))
    })
  program
    .command('explain')
    .description("print one trace from the file exporter's files, and why each span has the parent it has")
    .argument(
      '[file...]',
      'OTLP/JSON lines; rotated files are read, too (default: fullspan-data/traces.jsonl)',
    )
    .requiredOption('--trace <id>', 'the trace id, or so many of its first digits that there is only one')
    .action(async (files: readonly string[], options: ExplainOptions) => {
      process.stdout.write(await explain(files, options))
    })
  withRecording(
    program
      .command('record')
      .description(
        'record what sockets and interfaces of this machine carry, for `replay` of the ebpf receiver; needs root at the start',
      ),
  ).action((options: RecordOptions) => record(options))
  program
    .command('components')
    .description('list what a config may name')
    .action(() => void process.stdout.write(listComponents(components)))
  program
    .command('schema')
    .description('print the JSON Schema of a config, for editors')
    .action(() => void process.stdout.write(`${JSON.stringify(wholeSchema(components), undefined, 2)}\n`))
  await program.parseAsync()
}

const recordHelp = `
It ends at --duration, at --max-size, and on Ctrl-C: the file is whole each time. It holds the payloads' heads, so
passwords too where they are sent in the clear: filter, and look before you share it. Replay it, without root:

  receivers:
    ebpf:
      replay: http.rec
      replay_pace: real_time    # or fast, the default
`

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

function withRecording(command: Command): Command {
  const list = (flag: string, what: string): Option => new Option(flag, what).argParser(collect)
  return command
    .requiredOption('-o, --output <file>', 'where to; an existing file is replaced')
    .option('--duration <time>', 'end after that long, such as 30s (default: on Ctrl-C)')
    .option('--max-size <size>', 'end at that size', '256MiB')
    .option('--max-payload <bytes>', 'head of each send, receive and packet, 32 to 8192', '2048')
    .addOption(
      list('--port <port>', 'only connections with this port at either end; repeatable, as all lists'),
    )
    .addOption(list('--exclude-port <port>', 'none with it'))
    .addOption(list('--cidr <cidr>', 'only connections with such an address at either end'))
    .addOption(
      list('--netns <name>', 'only in network namespaces of that name under /run/netns; * is any text'),
    )
    .addOption(list('--pid <pid>', 'system calls only of that process'))
    .addOption(list('--cgroup <path>', 'system calls only of that control group and those below'))
    .addOption(list('--udp-port <port>', 'datagrams of that port, instead of 53'))
    .option('--no-net', 'no packets, only system calls')
    .option('--no-unix', 'no Unix sockets')
    .addOption(
      new Option('--sys-tier <tier>', 'how system calls are seen')
        .choices(['auto', 'sock', 'syscall'])
        .default('auto'),
    )
    .addHelpText('after', recordHelp)
}

function withConfig(command: Command): Command {
  return command
    .option(
      '--config <file>',
      'JSON or YAML, "env:NAME" or "yaml:text"; repeatable, later ones win',
      collect,
      [],
    )
    .option('--set <path=value>', 'one setting, such as processors.batch.timeout=2s; repeatable', collect, [])
}

function load({ config, set }: ConfigOptions): Promise<LoadedConfig> {
  return loadConfig({ files: configFiles(config), settings: set, components })
}

function validate({ problems }: LoadedConfig, files: readonly string[]): void {
  for (const problem of problems) console.log(formatProblem(problem))
  const isValid = problems.every(problem => problem.severity === 'warning')
  if (isValid) console.log(`OK: ${files.join(', ')}`)
  else process.exitCode = 1
}

// `fullspan schema | head`: who has read enough is no fault of ours. What runs goes on; its exporters find out for themselves.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  await main()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.exitCode = 1
    console.error(error instanceof FullspanError ? error.message : error)
  }
}
