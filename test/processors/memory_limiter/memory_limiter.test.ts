import t from 'tap'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { limitsFrom } from '../../../processors/memory_limiter/limits.ts'
import { memoryTotal } from '../../../processors/memory_limiter/memory-total.ts'
import { watchMemory } from '../../../processors/memory_limiter/watch-memory.ts'
import { collectGarbage } from '../../../processors/memory_limiter/collect-garbage.ts'
import { recordingLogger } from '../../helpers/environment.ts'
import { manualClock } from '../../../core/manual-clock.ts'

const unused = { limit_mib: 0, limit_percentage: 0, spike_limit_mib: 0, spike_limit_percentage: 0 }
const mib = 2 ** 20

t.test('the limits are the Collector’s', t => {
  const total = () => 1000 * mib
  t.strictSame(limitsFrom({ ...unused, limit_mib: 100 }, total), {
    hardBytes: 100 * mib,
    softBytes: 80 * mib,
  })
  t.strictSame(limitsFrom({ ...unused, limit_mib: 100, spike_limit_mib: 30 }, total), {
    hardBytes: 100 * mib,
    softBytes: 70 * mib,
  })
  t.strictSame(limitsFrom({ ...unused, limit_percentage: 50 }, total), {
    hardBytes: 500 * mib,
    softBytes: 400 * mib,
  })
  t.strictSame(limitsFrom({ ...unused, limit_percentage: 50, spike_limit_percentage: 10 }, total), {
    hardBytes: 500 * mib,
    softBytes: 400 * mib,
  })
  t.end()
})

function bench() {
  const clock = manualClock()
  const logger = recordingLogger()
  const state = { usedMiB: 10, garbageMiB: 0, collections: 0 }
  const stopping = new AbortController()
  const memory = watchMemory({
    limits: { hardBytes: 100 * mib, softBytes: 80 * mib },
    intervalMs: 1000,
    softGcIntervalMs: 10_000,
    hardGcIntervalMs: 1000,
    measure: () => (state.usedMiB + state.garbageMiB) * mib,
    collectGarbage: () => {
      state.collections++
      state.garbageMiB = 0
    },
    clock,
    logger,
    stopping: stopping.signal,
  })
  return { clock, state, memory, logger, stopping }
}

t.test('refuses above the soft limit, and accepts again below it', t => {
  const { clock, state, memory, logger } = bench()
  t.notOk(memory.isFullFor(1))
  state.usedMiB = 81
  clock.advance(1000)
  t.ok(memory.isFullFor(1))
  state.usedMiB = 79
  clock.advance(1000)
  t.notOk(memory.isFullFor(1))
  t.strictSame(
    logger.lines.map(line => line.level),
    ['warn', 'info'],
  )
  t.end()
})

t.test('garbage is collected before anything is refused for it', t => {
  const { clock, state, memory } = bench()
  state.garbageMiB = 75
  clock.advance(1000)
  t.notOk(memory.isFullFor(1))
  t.equal(state.collections, 1)
  t.end()
})

t.test('garbage is collected every 10 s above the soft limit, every second above the hard one', t => {
  const { clock, state } = bench()
  state.usedMiB = 90
  clock.advance(9000)
  t.equal(state.collections, 1)
  clock.advance(2000)
  t.equal(state.collections, 2)
  state.usedMiB = 110
  clock.advance(3000)
  t.equal(state.collections, 5)
  t.end()
})

t.test('what comes between two measurements is not let in without bound', t => {
  const { state, memory } = bench()
  state.usedMiB = 90
  t.notOk(memory.isFullFor(4 * mib), 'not measured yet')
  t.ok(memory.isFullFor(4 * mib), 'measured before its time')
  t.end()
})

t.test('a control group’s limit is found, in version 2 and 1, also one above', t => {
  const root = t.testdir({})
  const file = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const roots = { proc: join(root, 'proc'), sys: join(root, 'sys') }
  const machine = 16 * 2 ** 30
  t.equal(memoryTotal(roots, machine), machine, 'no control groups at all')
  file('proc/self/cgroup', '0::/app.slice/fullspan.service\n')
  file('sys/fs/cgroup/app.slice/fullspan.service/memory.max', 'max\n')
  t.equal(memoryTotal(roots, machine), machine)
  file('sys/fs/cgroup/app.slice/memory.max', '1073741824\n')
  t.equal(memoryTotal(roots, machine), 2 ** 30)
  file('proc/self/cgroup', '5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n')
  file('sys/fs/cgroup/memory/memory.limit_in_bytes', '9223372036854771712\n')
  t.equal(memoryTotal(roots, machine), machine, 'version 1 without a limit')
  file('sys/fs/cgroup/memory/memory.limit_in_bytes', '536870912\n')
  t.equal(memoryTotal(roots, machine), 2 ** 29, 'in a container only the top is there')
  t.end()
})

t.test('garbage can be collected without a flag of the command line', t => {
  t.doesNotThrow(collectGarbage)
  t.end()
})
