import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { packageRoot } from '../../core/package-root.ts'
import { median } from '../compare.ts'
import { tableLines } from '../table.ts'
import { compileProgram, startLines } from './programs.ts'

/** What a kind of call takes, in nanoseconds. */
interface Cost {
  readonly socket: number
  readonly unrelated: number
}

interface Variant {
  readonly name: string
  readonly args: readonly string[]
}

const variants: readonly Variant[] = [
  { name: 'SYS, tier sock', args: ['--no-net'] },
  { name: 'SYS, send start by sys_enter', args: ['--no-net', '--send-start', 'enter'] },
  { name: 'SYS, tier syscall', args: ['--no-net', '--sys-tier', 'syscall'] },
  { name: 'SYS and NET', args: [] },
  { name: 'SYS, connection filtered', args: ['--no-net', '--exclude-port', 'PORT'] },
]

/** (a) Added to a system call by the kernel side and the C probe, whose reader only drains: A B A B within one process. */
export async function measureCalls(
  options: { readonly isQuick: boolean; readonly folder: string },
  print: (line: string) => void,
): Promise<void> {
  const program = startLines(compileProgram('pairs', options.folder))
  const port = await program.line()
  const { rounds, pairs } = options.isQuick ? { rounds: 1, pairs: 4000 } : { rounds: 7, pairs: 100_000 }
  const run = async (): Promise<Cost> => {
    program.say(String(pairs))
    const [socket = NaN, unrelated = NaN] = (await program.line()).split(' ').map(Number)
    return { socket, unrelated }
  }
  await run()
  const rows: string[][] = []
  for (const { name, args } of variants) {
    const added: Cost[] = []
    let base = await run()
    const bases = [base]
    for (let round = 0; round < rounds; round++) {
      const probe = await startProbe(args.map(each => (each === 'PORT' ? port : each)))
      const on = await run()
      await probe.stop()
      const after = await run()
      bases.push(after)
      added.push({
        socket: on.socket - (base.socket + after.socket) / 2,
        unrelated: on.unrelated - (base.unrelated + after.unrelated) / 2,
      })
      base = after
    }
    const middle = (costs: readonly Cost[], kind: keyof Cost): number => median(costs.map(cost => cost[kind]))
    rows.push([
      name,
      `${(middle(bases, 'socket') / 1000).toFixed(2)} µs`,
      `${(middle(added, 'socket') / 1000).toFixed(2)} µs`,
      `${middle(added, 'unrelated').toFixed(0)} ns`,
    ])
  }
  await program.stop()
  print(
    `(a) a socket call of 1 KiB over loopback, ${rounds} rounds of ${pairs} pairs; goal: 0.6 µs added, 0 to others\n`,
  )
  for (const line of tableLines(['', 'without', 'added', 'added to getppid'], rows)) print(line)
  print('')
}

/** The bare probe, with a reader that takes everything and looks at nothing. */
async function startProbe(args: readonly string[]): Promise<{ stop(): Promise<void> }> {
  const path = join(packageRoot(), 'bpf/build/fullspan-probe')
  const child = spawn(path, ['--fd', '3', '--no-unix', ...args], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  })
  const stream = child.stdio[3]
  if (stream === null || stream === undefined || !('on' in stream)) throw new Error('the probe has no socket')
  const exited = once(child, 'close')
  const first = once(stream, 'data')
  stream.on('data', () => undefined)
  await Promise.race([
    first,
    exited.then(() => {
      throw new Error('the probe cannot capture here')
    }),
  ])
  return {
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
