import { execFile, execFileSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { lastValueFrom, toArray } from 'rxjs'
import t from 'tap'
import { createFlow, type FinishedSpan } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import { protocolVersion } from '../../receivers/ebpf/layout.ts'
import { replay } from '../../receivers/ebpf/recording.ts'
import { checkout } from '../helpers/live-capture.ts'

/**
 * Boots Debian's own kernels in software emulation with nothing in them but the probe and one HTTP exchange; the recording comes
 * out by a serial port and is replayed here. A boot takes about a minute: `make test-kernels`, not `make test`.
 */
const skip = process.env['FULLSPAN_KERNELS'] === undefined && 'boots virtual machines: make test-kernels'
t.setTimeout(900_000)

const bootMs = 240_000
const syscalls = 'tp_btf/sys_enter tp_btf/sys_exit'

/** What each tier takes, and what it must be called in the recording. */
const cases = [
  { kernel: /-6\.1\./, options: '--sys-tier auto --no-net', sys: syscalls, points: ['c-p', 's-p'] },
  {
    kernel: /-6\.12\./,
    options: '--sys-tier auto',
    sys: 'tp_btf/sock_send_length tp_btf/sys_enter',
    points: ['c-p', 'local', 's-p'],
  },
  { kernel: /-6\.12\./, options: '--sys-tier syscall --no-net', sys: syscalls, points: ['c-p', 's-p'] },
]

const kernels = skip === false ? fetchKernels() : []

for (const { kernel, options, sys, points } of cases) {
  const image = kernels.find(path => kernel.test(path))
  const isMissing =
    skip === false && image === undefined && `no kernel like ${kernel.source} in Debian's mirror`
  t.test(
    `kernel ${kernel.source} with ${options} sees both ends of an exchange`,
    { skip: skip || isMissing },
    async t => {
      const folder = mkdtempSync(join(tmpdir(), 'fullspan-kernel-'))
      t.teardown(() => rmSync(folder, { recursive: true }))
      const { console, recording } = await boot(image!, options, folder)
      t.match(console, /PROBE ENDED 0/, console)
      const events = (
        await lastValueFrom(replay(recording, { pace: 'fast' }).pipe(toArray()), { defaultValue: [] })
      ).flat()
      const [host] = events
      t.match(host, { type: 'host', sysTier: sys })
      t.ok(host?.type === 'host' && kernel.test(`-${host.kernelRelease}`), 'the kernel that was meant')
      const flow = createFlow()
      const spans: FinishedSpan[] = [...flow.push(events), ...flow.flush()]
      t.same(spans.map(({ span }) => span.text(names.observationPoint)).toSorted(), points)
      for (const { span, resource } of spans) {
        t.match(span.text('http.request.method'), /^(GET|POST)$/)
        t.equal(span.text(names.keyRequestHash), spans[0]!.span.text(names.keyRequestHash))
        if (span.text(names.observationPoint) !== 'local') t.equal(resource.text('service.name'), 'exchange')
      }
    },
  )
}

function fetchKernels(): string[] {
  const folder = join(checkout, 'dist/kernels')
  const paths = execFileSync(join(checkout, '.ci/fetch-kernels'), [folder], { encoding: 'utf8' })
  return paths.split('\n').filter(Boolean)
}

interface Booted {
  /** What the virtual machine printed. */
  readonly console: string
  readonly recording: string
}

async function boot(kernel: string, options: string, folder: string): Promise<Booted> {
  const image = makeImage(folder)
  const records = join(folder, 'records')
  const console = await run('qemu-system-x86_64', [
    ...['-accel', 'tcg', '-cpu', 'max', '-m', '512', '-smp', '1', '-nographic', '-nodefaults', '-no-reboot'],
    ...['-kernel', kernel, '-initrd', image],
    ...['-append', `console=ttyS0 quiet panic=-1 tiers=${options.replaceAll(' ', '+')}`],
    ...['-serial', 'stdio', '-serial', `file:${records}`],
  ])
  const recording = join(folder, 'kernel.rec')
  const header = Buffer.alloc(16)
  header.write('FULLSPAN-REC')
  header.writeUInt32LE(protocolVersion, 12)
  writeFileSync(recording, header)
  appendFileSync(recording, readFileSync(records))
  return { console, recording }
}

/** A root file system in memory: the probe with its libraries, the exchange, and busybox as the shell. */
function makeImage(folder: string): string {
  const root = join(folder, 'root')
  const add = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true })
    cpSync(realpathSync(from), join(root, to))
  }
  for (const empty of ['proc', 'sys', 'dev', 'tmp']) mkdirSync(join(root, empty), { recursive: true })
  const probe = join(checkout, 'bpf/build/fullspan-probe')
  add(probe, basename(probe))
  for (const [library] of execFileSync('ldd', [probe], { encoding: 'utf8' }).matchAll(/\/\S+/g))
    add(library, library)
  add('/usr/bin/busybox', 'bin/busybox')
  add(join(checkout, 'test/kernels/init.sh'), 'init')
  execFileSync('chmod', ['755', join(root, 'init')])
  const source = join(checkout, 'test/bpf/programs/exchange.c')
  execFileSync('gcc', ['-O2', '-static', '-o', join(root, 'exchange'), source])
  const image = join(folder, 'root.cpio.gz')
  execFileSync('sh', ['-ec', `cd ${root}; find . | cpio -o -H newc 2>/dev/null | gzip -1 >${image}`])
  return image
}

/** Its output; ended when it takes too long, which the output then shows. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise(resolve => {
    const child = execFile(program, args, { timeout: bootMs, encoding: 'latin1' }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
    child.stdin?.end()
  })
}
