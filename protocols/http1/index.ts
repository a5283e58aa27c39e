import { defineProtocol } from '../protocol.ts'
import { createDecoder } from './decoder.ts'
import { recognise } from './recognise.ts'

/** HTTP/1.0 and 1.1 (RFC 9112): pipelining, keep-alive, chunked, until close; ends at CONNECT and Upgrade. */
export default defineProtocol({ type: 'http1', transports: ['tcp', 'unix'], recognise, createDecoder })
