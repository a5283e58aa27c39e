/** The account of captured events, for metrics: seen = used + the sum of ignored. Lost ones never came here. */
export interface FlowStats {
  eventsSeen: number
  eventsUsed: number
  readonly eventsIgnored: Record<IgnoredReason, number>
  /** What LossEvents said, by the kernel side's reasons. */
  readonly eventsLost: Record<string, number>
  sysSpans: number
  netSpans: number
  /** Finished exchanges that could not become spans: no clock reading has come yet. */
  exchangesWithoutClock: number
  /** Followed now. */
  sockets: number
  paths: number
  /** Given up because of a limit. */
  socketsEvicted: number
  pathsEvicted: number
  /** Retransmissions, drops and the like, of before the latest `maximumNetworkEvents`. */
  networkEventsForgotten: number
  /** Bytes on connections that speak no protocol known here. */
  unknownBytes: number
  retransmissions: number
  /** Exchanges that were the same bytes again: not decoded. */
  repeats: number
  /** Steps that capture has gone down to keep within its budget. */
  level: number
}

export type IgnoredReason = 'unknown_protocol' | 'own_connection' | 'seen_before' | 'loopback_copy'

export function createStats(): FlowStats {
  return {
    eventsSeen: 0,
    eventsUsed: 0,
    eventsIgnored: { unknown_protocol: 0, own_connection: 0, seen_before: 0, loopback_copy: 0 },
    eventsLost: {},
    sysSpans: 0,
    netSpans: 0,
    exchangesWithoutClock: 0,
    sockets: 0,
    paths: 0,
    socketsEvicted: 0,
    pathsEvicted: 0,
    networkEventsForgotten: 0,
    unknownBytes: 0,
    retransmissions: 0,
    repeats: 0,
    level: 0,
  }
}
