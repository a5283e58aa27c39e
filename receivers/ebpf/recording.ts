import { closeSync, createReadStream, openSync, readSync, writeSync } from 'node:fs'
import { Observable } from 'rxjs'
import type { CaptureEvent } from '../../flow/events.ts'
import { brokenStream } from './errors.ts'
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
  /** `fast`: as fast as it is taken. `real-time`: with the pauses of the recording, second by second. */
  readonly pace: 'fast' | 'real-time'
}

/**
 * The events of a recording, in the order and the batches of the file. A recording cut off in the middle of a record (a full
 * disk, a limit) ends with its last whole record. Errors: EBPF_BROKEN_STREAM, and those of reading the file.
 */
export const replay = (path: string, { pace }: ReplayOptions): Observable<CaptureEvent[]> =>
  new Observable(subscriber => {
    const decoder = createRecordDecoder()
    const file = createReadStream(path, { start: headerBytes, highWaterMark: 65_536 })
    let timer: NodeJS.Timeout | undefined
    let firstNs: bigint | undefined
    const startMs = performance.now()
    const emit = (events: CaptureEvent[]): void => {
      subscriber.next(events)
      timer = undefined
      file.resume()
    }
    try {
      checkHeader(path)
    } catch (error) {
      subscriber.error(error)
      return undefined
    }
    file.on('data', chunk => {
      try {
        const events = decoder.push(Buffer.from(chunk))
        if (events.length === 0) return
        const ns = lastClockNs(events)
        firstNs ??= ns
        if (pace === 'fast' || ns === undefined || firstNs === undefined) {
          subscriber.next(events)
          return
        }
        const waitMs = startMs + Number(ns - firstNs) / 1e6 - performance.now()
        file.pause()
        timer = setTimeout(() => emit(events), Math.max(0, waitMs))
      } catch (error) {
        file.destroy()
        subscriber.error(error)
      }
    })
    file.on('error', error => subscriber.error(error))
    file.on('end', () => subscriber.complete())
    return () => {
      clearTimeout(timer)
      file.destroy()
    }
  })

const checkHeader = (path: string): void => {
  const header = Buffer.alloc(headerBytes)
  const file = openSync(path, 'r')
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

const lastClockNs = (events: readonly CaptureEvent[]): bigint | undefined =>
  events.findLast(event => event.type === 'clock')?.monotonicNs
