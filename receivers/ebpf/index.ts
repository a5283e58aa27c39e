import { defineReceiver } from '../../core/component.ts'
import type { Infer } from '../../core/schema.ts'
import { emitSpans } from './emit-spans.ts'
import { connectProbe, startProbe, type ProbeFilter } from './probe.ts'
import { namespacesOf } from './namespaces.ts'
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
        { events$, isLive: false, stop: () => Promise.resolve(), advise: () => undefined },
        context,
        { serviceNames: config.service_name },
      )
    }
    // Until it has started its lines are the reason why it cannot, which is thrown and told once.
    let isStarted = false
    const onMessage = (line: string): void => {
      if (isStarted) context.logger.warn({}, line)
    }
    const recording =
      config.record === undefined ? undefined : { path: config.record, maxBytes: config.record_max_size }
    const probe =
      config.probe_socket !== undefined
        ? connectProbe(config.probe_socket, { recording, onMessage })
        : startProbe({
            packageRoot: context.packageRoot,
            ownPids: [process.pid],
            ownPorts: [...context.ownPorts, ...config.exclude_ports],
            udpPorts: config.udp_ports,
            maxPayloadBytes: config.max_payload_bytes,
            hasNet: config.net,
            hasUnix: config.unix,
            hasTls: config.tls.enabled,
            sysTier: config.sys_tier,
            netTier: config.net_tier,
            sendStart: config.send_start,
            filter: filterOf(config.filter, config.network_namespaces),
            budget: {
              maxCpuPercent: config.budget.max_cpu_percent,
              maxEventsPerSecond: config.budget.max_events_per_second,
            },
            recording,
            onMessage,
          })
    await probe.started
    isStarted = true
    return emitSpans(
      {
        events$: probe.events$,
        isLive: true,
        stop: () => probe.stop(),
        advise: advice => probe.advise(advice),
      },
      context,
      { serviceNames: config.service_name },
    )
  },
})

type Lists = Infer<typeof schema>['filter']['include']

function filterOf(
  filter: { readonly include: Lists; readonly exclude: Lists },
  namespaces: readonly string[],
): ProbeFilter {
  const { include, exclude } = filter
  return {
    include: {
      ...include,
      namespaces: namespacesOf([...namespaces, ...include.network_namespaces]),
    },
    exclude: { ...exclude, namespaces: namespacesOf(exclude.network_namespaces) },
  }
}
