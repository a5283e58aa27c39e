import type { Peers } from '../../core/component.ts'
import type { AppSpan, Held } from './held.ts'
import type { Rules } from './rules/index.ts'
import type { SpanIndex } from './span-index.ts'

/**
 * Binds a resource to a process where something proves it (design §8): the process wrote a header that names the span; the process
 * served the request whose header names the span's parent, or whose far end is the span's peer; else the span came on a connection
 * of that process, and tells no other pid (as it does where an agent sends for others); else it tells the pid that the
 * process has for itself, and its host or container. Never by a service's name, which replicas and versions share. Called when a
 * span has waited, not when it comes: a gateway's exchange may come before the one that it lies in, and would be taken for the
 * writer's.
 */
export function bindByProof(held: Held, index: SpanIndex, rules: Rules, peers: Peers): void {
  if (held.layer === 'app') {
    bindApp(held)
    const peer = held.span.origin?.peer
    const sender = peer === undefined ? undefined : peers.get(peer)
    if (sender !== undefined && index.processesByPid.canBe(held.resource, sender)) {
      index.bindings.bind(held.resourceKey, sender)
    }
    if (index.bindings.processesOf(held.resourceKey).size > 0) return
    const process = index.processesByPid.find(held.resource, held.start)
    if (process !== undefined) index.bindings.bind(held.resourceKey, process)
    return
  }
  if (held.layer === 'net' || !held.exchange) return
  for (const { key } of held.exchange.headers) {
    const writer = index.appByKey.get(key)
    if (writer) bindApp(writer)
    index.appsByParent.get(key)?.forEach(bindApp)
  }
  if (held.point === 's-p') index.appsByPeer.get(held.peer)?.forEach(bindApp)

  function bindApp(app: AppSpan): void {
    const wrote = app.side === 'client' ? rules.header.writerOf(app) : undefined
    if (wrote) index.bindings.bind(app.resourceKey, wrote.process)
    const into = rules.header.exchangeInto(app)
    if (into?.server && !into.isSent) index.bindings.bind(app.resourceKey, into.server.process)
    const same = rules.sameExchange.sightOf(app)
    if (same?.confidence === 1) index.bindings.bind(app.resourceKey, same.sight.process)
  }
}
