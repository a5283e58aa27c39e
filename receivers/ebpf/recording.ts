import { closeSync, createReadStream, openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { from, type Observable } from 'rxjs'
import type { CaptureEvent } from '../../flow/events.ts'
import { brokenStream, noRecording } from './errors.ts'
import { protocolVersion } from './layout.ts'
import { createRecordDecoder } from './records.ts'

/** A recording: this header, then the probe's records as they came. */
const magic = Buffer.from('FULLSPAN-REC')
const headerBytes = magic.length + 4

export interface Recorder {
  /** Appends bytes of the stream. What would go over the limit, and everything after it, is counted instead. */
  write(chunk: Uint8Array): void
  close(): void
  readonly refusedBytes: number
}

/** Opens `path` at once (so a process may give up its privileges afterwards) and writes at most `maxBytes` to it. */
export const openRecorder = (path: string, maxBytes: number): Recorder => {
  const file = openSync(path, 'w', 0o600)
  let written = 0
  let refusedBytes = 0
  const header = Buffer.alloc(headerBytes)
  magic.copy(header)
  header.writeUInt32LE(protocolVersion, magic.length)
  writeSync(file, header)
  return {
    get refusedBytes() {
      return refusedBytes
    },
    write(chunk) {
      if (refusedBytes > 0 || written + chunk.length > maxBytes) {
        refusedBytes += chunk.length
        return
      }
      let at = 0
      while (at < chunk.length) at += writeSync(file, chunk, at)
      written += chunk.length
    },
    close: () => closeSync(file),
  }
}

export interface ReplayOptions {
  /** `fast`: as fast as it is taken. `real-time`: with the pauses of the recording, to the second. */
  readonly pace: 'fast' | 'real-time'
}

/**
 * The events of a recording, in the order of the file. A recording cut off in the middle of a record (a full disk, a limit)
 * ends with its last whole record. Errors: EBPF_BROKEN_STREAM, and those of reading the file.
 */
export const replay = (path: string, { pace }: ReplayOptions): Observable<CaptureEvent[]> =>
  from(pace === 'fast' ? read(path) : readSlowly(path))

async function* read(path: string): AsyncGenerator<CaptureEvent[]> {
  assertRecording(path)
  const decoder = createRecordDecoder()
  for await (const chunk of createReadStream(path, { start: headerBytes, highWaterMark: 65_536 })) {
    if (chunk instanceof Buffer) yield decoder.push(chunk)
  }
}

/** What came until a clock event is given when that much time has passed. */
async function* readSlowly(path: string): AsyncGenerator<CaptureEvent[]> {
  const startMs = performance.now()
  let firstNs: bigint | undefined
  for await (const events of read(path)) {
    for (const group of untilEachClock(events)) {
      const last = group.at(-1)
      if (last?.type === 'clock') {
        firstNs ??= last.monotonicNs
        await sleep(Math.max(0, startMs + Number(last.monotonicNs - firstNs) / 1e6 - performance.now()))
      }
      yield group
    }
  }
}

const untilEachClock = (events: readonly CaptureEvent[]): CaptureEvent[][] => {
  const groups: CaptureEvent[][] = [[]]
  for (const event of events) {
    groups.at(-1)?.push(event)
    if (event.type === 'clock') groups.push([])
  }
  return groups.filter(group => group.length > 0)
}

/** Throws EBPF_NO_RECORDING if the file cannot be read, or EBPF_BROKEN_STREAM if it is no recording of this version. */
export const assertRecording = (path: string): void => {
  const header = Buffer.alloc(headerBytes)
  const file = openRecording(path)
  try {
    const read = readSync(file, header)
    if (read < headerBytes || !header.subarray(0, magic.length).equals(magic)) {
      throw brokenStream(`${path} is no recording of Fullspan`)
    }
    const version = header.readUInt32LE(magic.length)
    if (version !== protocolVersion)
      throw brokenStream(`${path} was recorded with version ${version} of the protocol`)
  } finally {
    closeSync(file)
  }
}

const openRecording = (path: string): number => {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw noRecording(path, error)
  }
}
