import { names } from '../model/attribute-names.ts'
import type { AttributeValue } from '../model/attributes.ts'
import type { SpanEvent } from '../model/span.ts'
import type { InterfaceEvent, NetworkEvent } from './events.ts'
import type { SeenMessages, Story } from './network-story.ts'

type Attribute = readonly [name: string, value: AttributeValue]

/** More events of one span are only counted. */
const maximumEvents = 32

const eventNames: Partial<Record<NetworkEvent['kind'], string>> = {
  retransmit: 'fullspan.network.retransmission',
  retransmit_syn: 'fullspan.network.connect.retransmission',
  reset_sent: 'fullspan.network.reset.sent',
  reset_received: 'fullspan.network.reset.received',
  zero_window: 'fullspan.network.zero_window',
  drop: 'fullspan.network.drop',
}

/** `isAtSocket`: the kernel's own count of retransmissions; at an interface they are counted by what was seen again. */
export function storyAttributes(story: Story, isAtSocket: boolean): Attribute[] {
  const count = (...kinds: readonly NetworkEvent['kind'][]): number =>
    story.events.filter(event => kinds.includes(event.kind)).length
  const counts: [string, number][] = [
    [names.retransmissions, isAtSocket ? count('retransmit', 'retransmit_syn') : 0],
    [names.zeroWindows, count('zero_window')],
    [names.resets, count('reset_sent', 'reset_received')],
    [names.drops, count('drop')],
  ]
  return [
    ...(story.connect === undefined
      ? []
      : [[names.connectDuration, Number(story.connect.durationNs)] as const]),
    ...(story.rttUs === undefined ? [] : [[names.rtt, story.rttUs] as const]),
    ...counts.filter(([, value]) => value > 0),
  ]
}

/** `offset`: Unix time minus kernel time. */
export function storyEvents(
  story: Story,
  exchange: SeenMessages,
  context: { readonly offset: bigint; interfaceAt(netns: number, index: number): InterfaceEvent | undefined },
): SpanEvent[] {
  const { request, response, endNs } = exchange
  const { offset } = context
  const events: SpanEvent[] = story.events.slice(0, maximumEvents).map(event => ({
    timeUnixNano: event.timeNs + offset,
    name: eventNames[event.kind] ?? event.kind,
    attributes: eventAttributes(event, context.interfaceAt(event.netns, event.interfaceIndex)?.name),
  }))
  const addTime = (name: string, ns: bigint): void => void events.push({ timeUnixNano: ns + offset, name })
  if (story.connect !== undefined) addTime('fullspan.network.connect', story.connect.fromNs)
  if (request.lastNs !== request.firstNs) addTime('fullspan.request.last_byte', request.lastNs)
  if (response !== undefined && response.firstNs !== endNs)
    addTime('fullspan.response.first_byte', response.firstNs)
  return events.sort((one, other) => (one.timeUnixNano < other.timeUnixNano ? -1 : 1))
}

function eventAttributes(
  event: NetworkEvent,
  interfaceName: string | undefined,
): Record<string, AttributeValue> {
  const { kind, netns, seq, length, reason, place } = event
  const where: Record<string, AttributeValue> = {
    ...(netns !== 0 && { [names.netns]: netns }),
    ...(interfaceName !== undefined && { [names.interfaceName]: interfaceName }),
  }
  if (kind === 'drop') {
    return {
      ...where,
      [names.dropReason]: reason,
      [names.dropFunction]: place,
      ...(length > 0 && bytesOf(seq, length)),
    }
  }
  return kind === 'retransmit' ? { ...where, ...bytesOf(seq, length) } : where
}

function bytesOf(seq: number, length: number): Record<string, AttributeValue> {
  return { [names.tcpSeq]: seq, [names.tcpLength]: length }
}
