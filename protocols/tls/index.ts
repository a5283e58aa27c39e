import { defineProtocol } from '../protocol.ts'
import { createDecoder } from './decoder.ts'
import { clientHelloType, serverHelloType } from './hello.ts'
import { contentType, headerBytes, isRecordStart } from './records.ts'

/**
 * TLS 1.0 to 1.3, from outside: the handshake, then turns of application data as requests and responses. Only connections whose
 * hello is seen: nothing in an encrypted record says which end it comes from.
 */
export default defineProtocol({
  type: 'tls',
  transports: ['tcp'],
  recognise(head) {
    if (head[0] !== contentType.handshake || (head.length > 1 && head[1] !== 3)) return 'no'
    if (head.length <= headerBytes) return 'more'
    if (!isRecordStart(head)) return 'no'
    const type = head[headerBytes]
    return type === clientHelloType ? 'client' : type === serverHelloType ? 'server' : 'no'
  },
  createDecoder,
})
