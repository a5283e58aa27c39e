import { join } from 'node:path'
import { NEVER, concat, of } from 'rxjs'
import t from 'tap'
import { packageRoot } from '../../../core/package-root.ts'
import { names } from '../../../model/attribute-names.ts'
import { defaultServiceNameRules } from '../../../flow/service-name.ts'
import type { CaptureEvent } from '../../../flow/events.ts'
import type { Span } from '../../../model/span.ts'
import { emitSpans } from '../../../receivers/ebpf/emit-spans.ts'
import ebpf from '../../../receivers/ebpf/index.ts'
import { receiverBench } from '../../helpers/context.ts'

const golden = (name: string) => join(packageRoot(), 'test/golden/ebpf', name)

const noLists = { ports: [], network_namespaces: [], cidrs: [], pids: [], cgroups: [] }
const defaults = {
  net: true,
  max_payload_bytes: 2048,
  udp_ports: [53],
  exclude_ports: [],
  network_namespaces: [],
  unix: true,
  tls: { enabled: true },
  filter: { include: noLists, exclude: noLists },
  sys_tier: 'auto',
  net_tier: 'auto',
  send_start: 'auto',
  budget: {},
  service_name: defaultServiceNameRules,
  record_max_size: 1024 * 1024,
  replay_pace: 'fast',
} as const

async function replay(name: string, answer: 'accepted' | 'refused' = 'accepted') {
  const bench = receiverBench({
    answer: () =>
      answer === 'accepted' ? { kind: 'accepted' } : { kind: 'refused', reason: 'full', retryAfterMs: 1 },
  })
  const done = bench.run(await ebpf.create({ ...defaults, replay: golden(name) }, bench.context))
  for (let quietMs = 0, seen = -1; quietMs < 200; quietMs += 50) {
    if (bench.intakes.length !== seen) quietMs = 0
    seen = bench.intakes.length
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  bench.stop()
  await done
  return bench
}

function spansOf(bench: Awaited<ReturnType<typeof replay>>): Span[] {
  return bench.intakes.flatMap(({ batch }) => batch.groups.flatMap(({ spans }) => spans))
}

t.test('a recording gives the SYS and NET spans of what was recorded, without root', async t => {
  const spans = spansOf(await replay('http-veth.rec'))
  const [first] = spans.map(span => span.text(names.keyRequestHash))
  const points = spans
    .filter(span => span.text(names.keyRequestHash) === first)
    .map(span => span.text(names.observationPoint))
  t.ok(
    ['c-p', 'c', 'c-nd', 's-nd', 's', 's-p'].every(point => points.includes(point)),
    points.join(' '),
  )
  t.ok(spans.every(span => span.text('http.request.method') !== ''))
  t.ok(
    spans.every(span => span.origin !== undefined),
    'they are accounted to an intake',
  )
})

t.test('two replays give the same spans to the byte', async t => {
  const [once, twice] = [spansOf(await replay('redis.rec')), spansOf(await replay('redis.rec'))]
  t.ok(once.length > 0)
  t.strictSame(
    once.map(({ bytes }) => bytes),
    twice.map(({ bytes }) => bytes),
  )
})

t.test('spans that find no room are lost, and it says so', async t => {
  const bench = await replay('dns.rec', 'refused')
  t.match(JSON.stringify(bench.log), /spans refused: full/)
})

t.test('a recording that is missing or none fails the start, and says which', async t => {
  const create = async (path: string) => ebpf.create({ ...defaults, replay: path }, receiverBench().context)
  await t.rejects(create(golden('absent.rec')), { code: 'EBPF_NO_RECORDING', message: /absent\.rec/ })
  await t.rejects(create(golden('README.md')), { code: 'EBPF_BROKEN_STREAM', message: /is no recording/ })
})

t.test('says once how this kernel is captured, and every step that the budget forces', async t => {
  const level = (step: number, share: number): CaptureEvent => ({
    type: 'level',
    timeNs: 1n,
    level: step,
    share,
    maxPayloadBytes: step === 0 ? 2048 : 256,
    eventsPerSecond: 90_000,
    cpu: 0.37,
  })
  const host: CaptureEvent = {
    type: 'host',
    bootId: '',
    hostId: '',
    hostName: '',
    kernelRelease: '6.1.0',
    netns: 1,
    sysTier: 'tp_btf/sys_enter tp_btf/sys_exit',
    netTier: 'off',
  }
  const bench = receiverBench()
  const events$ = concat(of([host, level(2, 0.5)], [level(1, 1), level(0, 1)]), NEVER)
  const capture = { events$, isLive: true, stop: () => Promise.resolve(), advise: () => undefined }
  const done = bench.run(emitSpans(capture, bench.context))
  bench.stop()
  await done
  const said = JSON.stringify(bench.log)
  t.match(said, /tp_btf\/sys_enter.*6\.1\.0.*capturing system calls/)
  t.match(said, /"share":0\.5.*over its budget and steps down/)
  t.equal(said.match(/steps up again/g)?.length, 2)
})
