import { defineProtocol } from '../protocol.ts'
import { createDecoder } from './decoder.ts'
import { recognise } from './recognise.ts'

/** MySQL and MariaDB: text and prepared statements. Compressed and encrypted connections are left alone. */
export default defineProtocol({ type: 'mysql', transports: ['tcp', 'unix'], recognise, createDecoder })
