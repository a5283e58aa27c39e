/** The two ends of a conversation. `client` sends the requests. */
export type Speaker = 'client' | 'server'

/** What the first bytes of a turn say: who speaks this protocol there, `more` bytes needed, or `no`. */
export type Verdict = Speaker | 'more' | 'no'

export type Transport = 'tcp' | 'udp' | 'unix'

/**
 * One message at one capture point: when and where its first and last byte were seen. Flow makes it, decoders only hand it
 * back. Times are kernel monotonic nanoseconds.
 */
export interface Message {
  readonly from: Speaker
  readonly firstNs: bigint
  /** TCP sequence number of the first byte (u32), or for other transports its offset in the stream. */
  readonly seq: number
  /** Process and thread that moved the first byte; 0 where packets were seen. */
  readonly pid: number
  readonly tid: number
  readonly lastNs: bigint
  readonly lastTid: number
  /** Bytes so far; final once the message has ended. */
  readonly lengthBytes: number
}

/** What a decoder tells flow. Positions count from the start of the bytes in hand and may lie in their hole. */
export interface Recorder {
  /** A message begins with the byte at `at`. */
  begin(from: Speaker, at: number): Message
  /** `at` is one past its last byte. */
  end(message: Message, at: number): void
  /** It ended with the last byte seen before those in hand: its end is not on the wire. */
  endBefore(message: Message): void
  exchange(exchange: Exchange): void
  /** Nothing that follows can be decoded: encrypted, upgraded, or not this protocol after all. */
  stop(): void
}

export type AttributeValue = string | number | boolean | readonly string[]

/**
 * A request and its response, or the lack of one. `attributes` by the names of model/attribute-names.ts. Headers that name a span become
 * keys by `keysOfFields` of formats/propagation; of messages, `messageContexts` gives what goes into the one list that a batch needs
 * (`fullspan.key.message_contexts`, with `messaging.operation.type`).
 */
export interface Exchange {
  readonly request: Message
  readonly response: Message | undefined
  readonly name: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
  readonly error: ExchangeError | undefined
  /** Not all that the attributes need was captured. */
  readonly isTruncated: boolean
}

export interface ExchangeError {
  readonly type: string
  readonly message: string
  /** `client`: only the client's side counts it as an error (HTTP 4xx). */
  readonly countsFor: 'client' | 'both'
}

/**
 * Decodes one connection. Bytes come in order for each end; bytes that were not captured come as holes of known length. It
 * never throws, keeps bounded state, and looks at each byte a bounded number of times.
 */
export interface Decoder {
  /** `length` ≥ `bytes.length` bytes moved; what is beyond `bytes` was not captured. */
  push(from: Speaker, bytes: Uint8Array, length: number): void
  /** `from` speaks after the other end has spoken: a message without a known end is over. Called before `push`. */
  turn(from: Speaker): void
  /** Nothing came for a while: a response without a known end is over. Requests still wait. */
  quiet(): void
  /** The connection is over: what is open is given out as it is. */
  close(): void
}

/** An application protocol: a plugin point. The folder's name is its `type`. */
export interface Protocol {
  readonly type: string
  readonly transports: readonly Transport[]
  /** `head`: first captured bytes of a turn (at least 1), `length`: bytes of the turn so far. Must be cheap and sure. */
  recognise(head: Uint8Array, length: number, transport: Transport): Verdict
  createDecoder(recorder: Recorder, transport: Transport): Decoder
}

export function defineProtocol(protocol: Protocol): Protocol {
  return protocol
}
