import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../core/package-root.ts'
import type { Part } from '../part.ts'
import { measureCalls } from './call-cost.ts'
import { startNginx } from './nginx.ts'
import { measureSteady, measureSustained } from './steady.ts'
import { measureThroughput } from './throughput.ts'

/** What capture costs those that are captured. Every figure says how much of what happened left as spans. */
export const capture: Part = {
  name: 'capture',
  description: 'system calls and packets: what they cost a server, against tcpdump (root, nginx, wrk, gcc)',
  async run(options, print) {
    const reason = whyNot()
    if (reason !== undefined) {
      print(`capture: skipped: ${reason}\n`)
      return
    }
    const folder = mkdtempSync(join(tmpdir(), 'fullspan-bench-'))
    const nginx = await startNginx(folder)
    const place = { ...options, folder, nginx }
    try {
      if (isChosen(options.only, 'calls')) await measureCalls(place, print)
      if (isChosen(options.only, 'throughput')) await measureThroughput({ ...place, only: '' }, print)
      if (isChosen(options.only, 'steady')) await measureSteady(place, print)
      if (isChosen(options.only, 'sustained')) await measureSustained(place, print)
    } finally {
      await nginx.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

const isChosen = (only: string, name: string): boolean => only === '' || only === name

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root'
  const missing = ['nginx', 'wrk', 'tcpdump', 'gcc', 'bpftool'].filter(
    program => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  )
  if (missing.length > 0) return `${missing.join(', ')} missing (make bench installs them)`
  const probe = join(packageRoot(), 'bpf/build/fullspan-probe')
  if (!existsSync(probe)) return 'the probe is not built'
  const check = spawnSync(probe, ['--check'], { encoding: 'utf8' })
  return check.status === 0 ? undefined : check.stdout.trim()
}
