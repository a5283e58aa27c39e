import { closeSync, createReadStream, fchownSync, openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { from, type Observable } from 'rxjs'
import type { CaptureEvent } from '../../flow/events.ts'
import { brokenStream, cannotRecord, noRecording } from './errors.ts'
import { protocolVersion } from './layout.ts'
import { createRecordDecoder } from './records.ts'

/** A recording: this header, then the probe's records as they came. */
const magic = Buffer.from('FULLSPAN-REC')
const headerBytes = magic.length + 4

export interface Recorder {
  /** Appends bytes of the stream. What would go over the limit or finds no room on the disk, and everything after it, is not. */
  write(chunk: Uint8Array): void
  close(): void
  readonly writtenBytes: number
}

export interface RecorderOptions {
  readonly path: string
  readonly maxBytes: number
  /** Once, when nothing more is recorded: capture goes on. */
  readonly onFull?: ((reason: string) => void) | undefined
}

/**
 * Opens `path` at once, so that a process may give up its privileges afterwards. What was begun under sudo belongs to who said
 * sudo. Throws EBPF_CANNOT_RECORD.
 */
export const openRecorder = ({ path, maxBytes, onFull }: RecorderOptions): Recorder => {
  const file = openForRecording(path)
  let writtenBytes = 0
  let isFull = false
  const stop = (reason: string): void => {
    isFull = true
    onFull?.(reason)
  }
  return {
    get writtenBytes() {
      return writtenBytes
    },
    write(chunk) {
      if (isFull) return
      if (writtenBytes + chunk.length > maxBytes) {
        stop(`the recording is full: ${maxBytes} bytes`)
        return
      }
      try {
        let at = 0
        while (at < chunk.length) at += writeSync(file, chunk, at)
        writtenBytes += chunk.length
      } catch (error) {
        stop(`cannot write to ${path}: ${error instanceof Error ? error.message : String(error)}`)
      }
    },
    close: () => closeSync(file),
  }
}

const openForRecording = (path: string): number => {
  const header = Buffer.alloc(headerBytes)
  magic.copy(header)
  header.writeUInt32LE(protocolVersion, magic.length)
  try {
    const file = openSync(path, 'w', 0o600)
    writeSync(file, header)
    const { SUDO_UID: uid, SUDO_GID: gid } = process.env
    if (process.getuid?.() === 0 && uid !== undefined && gid !== undefined) {
      fchownSync(file, Number(uid), Number(gid))
    }
    return file
  } catch (error) {
    throw cannotRecord(path, error)
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
