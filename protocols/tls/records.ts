/** Content types of TLS records (RFC 8446 §5.1). */
export const contentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const

/** A record as its header says; encryption does not hide it. */
export interface TlsRecord {
  readonly type: number
  /** Its second byte: 1 for TLS 1.0, 3 for 1.2 and 1.3. */
  readonly minorVersion: number
  /** Bytes behind the 5 of the header. */
  readonly length: number
}

export interface RecordSink {
  /** `at`: of the header's first byte, from the start of the bytes in hand; negative if it came with those before. */
  begin(record: TlsRecord, at: number): void
  /** Captured bytes behind the header, as they come. */
  bytes(bytes: Uint8Array): void
  /** `at` is one past the last byte. */
  end(at: number): void
}

/** Cuts one direction of a connection into TLS records. After a hole it goes on where bytes in hand begin with a header. */
export interface RecordReader {
  push(bytes: Uint8Array, length: number): void
  /** Bytes went by unseen. */
  lose(): void
}

export const headerBytes = 5
/** Of a record: 2^14 and what encryption may add (RFC 5246 §6.2.3). */
const maximumRecordBytes = 16_384 + 2048

export function createRecordReader(sink: RecordSink): RecordReader {
  const header = new Uint8Array(headerBytes)
  let headerFilled = 0
  let rest = 0
  let isLost = false

  function readHeader(bytes: Uint8Array, at: number): number {
    const step = Math.min(headerBytes - headerFilled, bytes.length - at)
    header.set(bytes.subarray(at, at + step), headerFilled)
    headerFilled += step
    return step
  }

  function push(bytes: Uint8Array, length: number): void {
    if (isLost) {
      if (!isRecordStart(bytes)) return
      isLost = false
      headerFilled = rest = 0
    }
    let at = 0
    while (at < length) {
      if (rest === 0) {
        if (at >= bytes.length) {
          isLost = true
          return
        }
        at += readHeader(bytes, at)
        if (headerFilled < headerBytes) continue
        if (!isRecordStart(header)) {
          isLost = true
          return
        }
        rest = (header[3]! << 8) | header[4]!
        headerFilled = 0
        sink.begin({ type: header[0]!, minorVersion: header[2]!, length: rest }, at - headerBytes)
        if (rest === 0) sink.end(at)
        continue
      }
      const step = Math.min(rest, length - at)
      if (at < bytes.length) sink.bytes(bytes.subarray(at, Math.min(at + step, bytes.length)))
      at += step
      rest -= step
      if (rest === 0) sink.end(at)
    }
  }

  return {
    push,
    lose() {
      isLost = true
    },
  }
}

/** Do these bytes begin with the header of a record of TLS 1.0 to 1.3? */
export function isRecordStart(bytes: Uint8Array): boolean {
  if (bytes.length < headerBytes) return false
  const type = bytes[0]!
  const length = (bytes[3]! << 8) | bytes[4]!
  const isKnown = type >= contentType.changeCipherSpec && type <= contentType.applicationData
  return isKnown && bytes[1] === 3 && bytes[2]! <= 4 && length <= maximumRecordBytes
}
