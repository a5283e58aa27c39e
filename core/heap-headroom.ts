import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import type { Clock } from './clock.ts'

const headroomBytes = 40 * 1024 * 1024
const adjustEveryMs = 10_000

/**
 * Keeps V8 from collecting a small heap as a whole all the time. It lets a heap grow by a share of its objects, here 20 MiB, but holds
 * the bytes of buffers against it, here hundreds of MiB a second that live for a blink: 15 full collections a second, a third of
 * a relay's CPU (Node 20, V8 11.3; the limit is computed anew after each). Large heaps are left to V8. Returns how to stop.
 */
export function giveHeapHeadroom(clock: Pick<Clock, 'after'>): () => void {
  let cancel: () => void
  const adjust = (): void => {
    setFlagsFromString(`--heap-growing-percent=${growthPercent(getHeapStatistics().used_heap_size)}`)
    cancel = clock.after(adjustEveryMs, adjust)
  }
  adjust()
  return () => {
    cancel()
    setFlagsFromString('--heap-growing-percent=0')
  }
}

/** By how much a heap of that size may grow until it is collected; 0 leaves it to V8, which then lets it grow by as much and less. */
export function growthPercent(usedBytes: number): number {
  const percent = Math.min(300, Math.round((100 * headroomBytes) / usedBytes))
  return percent < 100 ? 0 : percent
}
