import { createBoundedMap } from './limits.ts'

/** How often a thread has gone from one connection to another: a blocking thread can't while it waits for an answer. */
export interface ThreadState {
  /** Changes of the connection that it worked on. */
  readonly switches: number
  /** The same for connections on which it serves. */
  readonly serverSwitches: number
}

export interface Threads {
  /** The thread moved bytes on a connection. */
  touch(tid: number, cookie: bigint, isServer: boolean): ThreadState
  now(tid: number): ThreadState | undefined
}

interface Thread {
  cookie: bigint
  switches: number
  serverCookie: bigint
  serverSwitches: number
}

export function createThreads(maximum: number): Threads {
  const threads = createBoundedMap<number, Thread>(maximum)
  return {
    touch(tid, cookie, isServer) {
      let thread = threads.get(tid)
      if (thread === undefined) {
        thread = { cookie: -1n, switches: 0, serverCookie: -1n, serverSwitches: 0 }
        threads.set(tid, thread)
      }
      if (thread.cookie !== cookie) {
        thread.cookie = cookie
        thread.switches++
      }
      if (isServer && thread.serverCookie !== cookie) {
        thread.serverCookie = cookie
        thread.serverSwitches++
      }
      return thread
    },
    now: tid => threads.get(tid),
  }
}
