import { isIP } from 'node:net'
import type { AttributeValue } from '../../model/attributes.ts'
import { type SegmentSpan, spanTypes } from './segment.ts'

/**
 * What a span's `peer` says in today's conventions: `server.*` for an Exit, `network.peer.*` for an Entry (Node's and Python's agents
 * write the ephemeral port there, which is how a SYS span finds it). A list of addresses gives the first; `host:-1` no port.
 */
export function* peerAttributes({ peer, spanType }: SegmentSpan): Generator<[string, AttributeValue]> {
  const first = peer.split(/[,;]/, 1)[0]?.trim() ?? ''
  const split =
    isIP(first) === 0
      ? /^(?:.*\/)?(\[[^\]]+\]|[^:[\]]*|[0-9a-fA-F:]+?)(?::(-?\d+))?$/.exec(first)
      : [first, first]
  const address = split?.[1]?.replace(/^\[|\]$/g, '') ?? ''
  if (address === '') return
  const port = Number(split?.[2] ?? -1)
  const isEntry = spanTypes[spanType] === 'Entry'
  if (isEntry && isIP(address) === 0) return
  yield [isEntry ? 'network.peer.address' : 'server.address', address]
  if (port > 0 && port < 65_536) yield [isEntry ? 'network.peer.port' : 'server.port', port]
}
