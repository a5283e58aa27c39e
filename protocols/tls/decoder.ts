import { names } from '../../model/attribute-names.ts'
import type { AttributeValue, Decoder, Message, Recorder, Speaker } from '../protocol.ts'
import { clientHelloType, parseClientHello, parseServerHello, serverHelloType } from './hello.ts'
import { contentType, createRecordReader } from './records.ts'
import type { RecordReader, TlsRecord } from './records.ts'

export const handshakeName = 'TLS handshake'

/** Of a hello: names lie behind the key shares, which may be long. */
const maximumKeptBytes = 4096
/** What TLS 1.3 adds to a record: the inner type and the tag of all its ciphers (RFC 8446 §5.2). */
const overhead13 = 17
/** Finished, with SHA-256 and SHA-384; and an alert. */
const finishedLengths = [4 + 32 + overhead13, 4 + 48 + overhead13]
const alertLength = 2 + overhead13
/** A server's session tickets may stand before its first response, two of the same size as a rule (OpenSSL). */
const longestTicket = 1024

export function createDecoder(recorder: Recorder): Decoder {
  const facts: Record<string, AttributeValue> = {
    [names.networkProtocolName]: 'tls',
    [names.tls]: 'records',
    [names.tlsProtocolName]: 'tls',
  }
  const readers = { client: readerOf('client'), server: readerOf('server') }
  let hello: { readonly request: Message; response?: Message } | undefined
  let hasGreeted = false
  let request: Message | undefined
  let response: Message | undefined
  let isVersion13 = false
  let hasFinished = false
  /** Lengths of the server's records behind the handshake, up to its first response: tickets perhaps. */
  let firstRecords: number[] | undefined = []
  let kept = new Uint8Array(0)
  let keptType = 0

  function readerOf(from: Speaker): RecordReader {
    return createRecordReader({
      begin(record, at) {
        kept = new Uint8Array(0)
        keptType = record.type
        if (record.type === contentType.applicationData && !isOfHandshake(from, record))
          data(from, record, at)
        else if (record.type === contentType.handshake) beginHello(from, at)
      },
      bytes(bytes) {
        if (keptType !== contentType.handshake || kept.length >= maximumKeptBytes) return
        const joined = new Uint8Array(kept.length + bytes.length)
        joined.set(kept)
        joined.set(bytes, kept.length)
        kept = joined
      },
      end() {
        if (keptType === contentType.handshake) readHello()
        keptType = 0
      },
    })
  }

  function beginHello(from: Speaker, at: number): void {
    if (from === 'client' && !hasGreeted) {
      hasGreeted = true
      hello = { request: recorder.begin('client', at) }
    } else if (from === 'server' && hello !== undefined) hello.response ??= recorder.begin('server', at)
  }

  function readHello(): void {
    if (kept[0] === clientHelloType) {
      const client = parseClientHello(kept)
      if (client !== undefined && client.serverName !== '')
        facts[names.tlsServerName] = client.serverName.slice(0, 255)
    }
    if (kept[0] !== serverHelloType) return
    const server = parseServerHello(kept)
    if (server === undefined) return
    facts[names.tlsProtocolVersion] = server.version
    facts[names.tlsCipher] = server.cipher
    if (server.nextProtocol !== '') facts[names.tlsNextProtocol] = server.nextProtocol
    isVersion13 = server.version === '1.3'
  }

  /** In TLS 1.3 the rest of the handshake, tickets and alerts look like data. */
  function isOfHandshake(from: Speaker, { length }: TlsRecord): boolean {
    if (!isVersion13) return false
    if (length === alertLength) return true
    if (hasFinished) return false
    if (from === 'client') hasFinished = finishedLengths.includes(length)
    return true
  }

  function data(from: Speaker, { length }: TlsRecord, at: number): void {
    if (from === 'client') {
      request ??= recorder.begin('client', at)
      return
    }
    if (request === undefined) {
      firstRecords?.push(length) // nobody has asked yet: a ticket
      return
    }
    const areTickets = hasTickets()
    if (response === undefined || areTickets) response = recorder.begin('server', at)
    if (areTickets) firstRecords = undefined
    firstRecords?.push(length)
  }

  /** Two of the same size, and nothing else. */
  function hasTickets(): boolean {
    if (!isVersion13 || firstRecords?.length !== 2) return false
    return firstRecords[0] === firstRecords[1] && firstRecords[0]! <= longestTicket
  }

  function giveHello(): void {
    if (hello === undefined) return
    const given = hello
    hello = undefined
    give(given.request, given.response, handshakeName)
  }

  function giveData(): void {
    if (request === undefined) return
    give(request, response, 'TLS')
    request = response = undefined
    firstRecords = undefined
  }

  function give(asked: Message, answered: Message | undefined, name: string): void {
    recorder.endBefore(asked)
    if (answered !== undefined) recorder.endBefore(answered)
    recorder.exchange({
      request: asked,
      response: answered,
      name,
      attributes: { ...facts },
      error: undefined,
      isTruncated: false,
    })
  }

  return {
    push(from, bytes, length) {
      readers[from].push(bytes, length)
    },
    turn(from) {
      if (from === 'server') {
        if (hello !== undefined) recorder.endBefore(hello.request)
        if (request !== undefined) recorder.endBefore(request)
        return
      }
      if (hello?.response !== undefined) giveHello()
      if (response !== undefined) giveData()
    },
    quiet() {
      if (response !== undefined && !hasTickets()) giveData()
    },
    close() {
      giveHello()
      giveData()
    },
  }
}
