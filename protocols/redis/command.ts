import type { RespValue } from './resp-reader.ts'

export interface Command {
  /** Upper case; with its subcommand where that tells what is done: `CONFIG GET`. */
  readonly operation: string
  /** `GET ?`: arguments may hold anything, so none is shown. */
  readonly text: string
  /** The first argument, for commands that change the connection; not for showing. */
  readonly argument: string
}

const maximumShownArguments = 16

const containers = new Set([
  'ACL',
  'CLIENT',
  'CLUSTER',
  'COMMAND',
  'CONFIG',
  'DEBUG',
  'FUNCTION',
  'LATENCY',
  'MEMORY',
  'MODULE',
  'OBJECT',
  'PUBSUB',
  'SCRIPT',
  'SLOWLOG',
  'XGROUP',
  'XINFO',
])

/** undefined: no command. */
export function toCommand(value: RespValue): Command | undefined {
  const [name = '', argument = ''] = value.words
  if (!/^[A-Za-z][A-Za-z0-9._-]{0,63}$/.test(name)) return undefined
  let operation = name.toUpperCase()
  let shown = value.count - 1
  if (containers.has(operation) && /^[A-Za-z-]{1,32}$/.test(argument)) {
    operation += ` ${argument.toUpperCase()}`
    shown--
  }
  const marks = ' ?'.repeat(Math.max(0, Math.min(shown, maximumShownArguments)))
  return { operation, text: operation + marks + (shown > maximumShownArguments ? ' …' : ''), argument }
}

/** From here on replies don't follow commands: a replica's stream, MONITOR's, or no replies at all. */
export function endsDecoding({ operation }: Command): boolean {
  return ['MONITOR', 'SYNC', 'PSYNC', 'CLIENT REPLY'].includes(operation)
}

// Redis 7 and Valkey 8: a first word that is none of these makes no Redis connection.
const known =
  'ACL APPEND ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH ' +
  'BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DEBUG DECR DECRBY DEL DISCARD DUMP ECHO EVAL EVALSHA ' +
  'EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FAILOVER FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION GEOADD GEODIST ' +
  'GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HELLO ' +
  'HEXISTS HEXPIRE HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN HTTL HVALS ' +
  'INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM ' +
  'LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR MOVE MSET MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD ' +
  'PFCOUNT PFMERGE PING PSETEX PSUBSCRIBE PSYNC PTTL PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME ' +
  'RENAMENX REPLCONF REPLICAOF RESET RESTORE ROLE RPOP RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE ' +
  'SELECT SET SETBIT SETEX SETNX SETRANGE SHUTDOWN SINTER SINTERCARD SINTERSTORE SISMEMBER SLAVEOF SLOWLOG SMEMBERS SMISMEMBER ' +
  'SMOVE SORT SORT_RO SPOP SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE ' +
  'SWAPDB SYNC TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO ' +
  'XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ' +
  'ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ' +
  'ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ' +
  'ZUNIONSTORE'
const knownCommands = new Set(known.split(' '))

export function isKnownCommand(name: string): boolean {
  const upper = name.toUpperCase()
  return knownCommands.has(upper) || /^(?:BF|CF|CMS|FT|GRAPH|JSON|TDIGEST|TOPK|TS)\.[A-Z.]{1,32}$/.test(upper)
}
