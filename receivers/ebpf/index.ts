import { defineReceiver } from '../../core/component.ts'
import { emitSpans } from './emit-spans.ts'
import { startProbe } from './probe.ts'
import { namespaceFilter } from './namespaces.ts'
import { assertRecording, replay } from './recording.ts'
import { schema } from './schema.ts'

/**
 * SYS and NET spans of everything on this machine, without touching code: the probe's events (or a recording of them), through
 * `flow/`. Needs root at the start, for the probe; afterwards only the probe keeps capabilities.
 */
export default defineReceiver({
  type: 'ebpf',
  description: 'SYS and NET spans from system calls and packets, by eBPF.',
  stability: 'alpha',
  signals: ['traces'],
  schema,
  async create(config, context) {
    if (config.replay !== undefined) {
      assertRecording(config.replay)
      const events$ = replay(config.replay, {
        pace: config.replay_pace === 'real_time' ? 'real-time' : 'fast',
      })
      return emitSpans(
        { events$, isWanted: () => true, isLive: false, stop: () => Promise.resolve() },
        context,
      )
    }
    const isWanted = namespaceFilter(config.network_namespaces)
    // Until it has started its lines are the reason why it cannot, which is thrown and told once.
    let isStarted = false
    const probe = startProbe({
      packageRoot: context.packageRoot,
      ownPids: [process.pid],
      ownPorts: [...context.ownPorts, ...config.exclude_ports],
      udpPorts: config.udp_ports,
      maxPayloadBytes: config.max_payload_bytes,
      hasNet: config.net,
      recording:
        config.record === undefined ? undefined : { path: config.record, maxBytes: config.record_max_size },
      onMessage: line => {
        if (isStarted) context.logger.warn({}, line)
      },
    })
    await probe.started
    isStarted = true
    context.logger.info({}, 'capturing system calls and packets')
    return emitSpans({ events$: probe.events$, isWanted, isLive: true, stop: () => probe.stop() }, context)
  },
})
