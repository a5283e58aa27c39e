import { spanIdsOf, traceIdOf } from '../../../formats/skywalking/ids.ts'
import { names } from '../../../model/attribute-names.ts'
import type { SpanLink } from '../../../model/span.ts'
import type { Exchange } from '../exchange.ts'
import type { HeaderContext } from '../header-context.ts'
import type { AppSpan, SightSpan } from '../held.ts'
import type { SpanIndex } from '../span-index.ts'
import type { HeaderRule } from './header.ts'

/**
 * Rule 1c, proof: a message that a consumer got names the span that sent it.
 *
 * Fires for exchanges between a broker and a consumer whose messages carry propagation headers. What the broker pushes (NATS, AMQP)
 * was caused by the one who sent it: the exchange that brought the message to the broker is its parent, else the span
 * that wrote the header. What the consumer fetched (Kafka) was caused by the consumer, and a batch has many senders: those are span
 * links, which say where a message came from without a claim about who caused the fetch. Right, because a header is
 * written once for a message. What could fool it: a forwarder that copies messages with their headers (the exchanges that send
 * the same key do not nest, so it is demoted).
 */
export interface MessagingRule {
  /** Who sent the one message that this exchange pushed to a consumer. */
  senderOf(exchange: Exchange): MessageSender | undefined
  /** What was pushed to consumers because of this exchange. */
  deliveriesOf(exchange: Exchange): readonly Exchange[]
  /** The push by which a consumer's span got the message that names its parent. */
  deliveryInto(app: AppSpan): Exchange | undefined
}

export type MessageSender =
  | { readonly kind: 'exchange'; readonly exchange: Exchange; readonly evidence: string }
  | { readonly kind: 'span'; readonly app: AppSpan; readonly evidence: string }

export function messagingRule(index: SpanIndex, header: HeaderRule): MessagingRule {
  function senderOf(exchange: Exchange): MessageSender | undefined {
    const [message, second] = exchange.received
    if (!message || second || !exchange.isPushed) return undefined
    const evidence = `${message.name} in the message`
    const sent = lastOf(header.nested(message.key))
    if (sent && sent.head.start <= exchange.head.start) return { kind: 'exchange', exchange: sent, evidence }
    const app = index.appByKey.get(message.key)
    return app && { kind: 'span', app, evidence }
  }

  function deliveriesOf(exchange: Exchange): readonly Exchange[] {
    const found: Exchange[] = []
    for (const { key } of exchange.headers) {
      for (const delivery of index.exchangesByMessage.get(key) ?? []) {
        const sender = senderOf(delivery)
        if (sender?.kind === 'exchange' && sender.exchange === exchange) found.push(delivery)
      }
    }
    return found
  }

  function deliveryInto(app: AppSpan): Exchange | undefined {
    if (app.side !== 'server' || app.parentKey === '') return undefined
    const deliveries = index.exchangesByMessage.get(app.parentKey)
    if (!deliveries) return undefined
    const own = index.bindings.processesOf(app.resourceKey)
    const mine = [...deliveries].filter(
      ({ isPushed, head, server }) =>
        isPushed &&
        head.start <= app.start + millisecondNs &&
        (!server || own.size === 0 || own.has(server.process)),
    )
    return mine.length === 1 ? mine[0] : undefined
  }

  return { senderOf, deliveriesOf, deliveryInto }
}

/** The innermost exchange that carries a key, if there is one: the last to bring the message to a broker. */
function lastOf(tree: ReadonlyMap<Exchange, Exchange | undefined> | undefined): Exchange | undefined {
  if (!tree) return undefined
  const outers = new Set(tree.values())
  const innermost = [...tree.keys()].filter(exchange => !outers.has(exchange))
  return innermost.length === 1 ? innermost[0] : undefined
}

/**
 * Span links to the senders of what a consumer took, for the sight at the consumer's end; none that the span has already. By the ids
 * in the headers, which are final: the senders' traces may have left long ago.
 */
export function messageLinks(sight: SightSpan): readonly SpanLink[] {
  const { exchange, received } = sight
  if (!exchange || received.length === 0) return []
  const { isPushed } = exchange
  if (sight !== (isPushed ? exchange.tail : exchange.head) || (isPushed && received.length === 1)) return []
  const known = new Set(sight.span.links.map(({ traceId, spanId }) => `${traceId} ${spanId}`))
  return received.map(linkOf).filter(({ traceId, spanId }) => !known.has(`${traceId} ${spanId}`))
}

function linkOf({ key, traceKey, traceId, spanId, name }: HeaderContext): SpanLink {
  const attributes = { [names.linkRule]: 'message', [names.linkEvidence]: `${name} in the message` }
  if (name !== 'sw8') return { traceId, spanId, attributes }
  const [, segment = '', number = '0'] = key.split('|')
  const native = traceKey.slice('sw8|'.length)
  return { traceId: traceIdOf(native), spanId: spanIdsOf(segment)(Number(number)), attributes }
}

const millisecondNs = 1e6
