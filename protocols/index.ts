import dns from './dns/index.ts'
import http1 from './http1/index.ts'
import mysql from './mysql/index.ts'
import type { Protocol } from './protocol.ts'
import redis from './redis/index.ts'
import tls from './tls/index.ts'

/** The application protocols that are built in, in the order in which they are tried. */
export const builtInProtocols: readonly Protocol[] = [http1, mysql, redis, dns, tls]
