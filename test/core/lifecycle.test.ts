import t from 'tap'
import { components } from '../../components.ts'
import type { ComponentDefinition } from '../../core/component.ts'
import { startService } from '../../core/graph/service.ts'
import { fakeExporter, fakeReceiver } from '../helpers/components.ts'
import { configFrom, testEnvironment } from '../helpers/environment.ts'
import { sampleConfig } from '../helpers/sample-configs.ts'
import { testBatch } from '../helpers/spans.ts'

/** A pipeline with this component in it, and a receiver and an exporter of the test where it is none. */
function configWith(definition: ComponentDefinition, folder: string): string {
  const { kind, type } = definition
  const own = { [type]: sampleConfig(definition, folder) }
  const signal = definition.kind === 'extension' ? 'traces' : definition.signals[0]
  return JSON.stringify({
    receivers: { ...(kind === 'receiver' && own), fake_in: null },
    processors: kind === 'processor' ? own : {},
    exporters: { ...(kind === 'exporter' && own), fake_out: null },
    extensions: kind === 'extension' ? own : {},
    service: {
      shutdown_timeout: '1s',
      extensions: kind === 'extension' ? [type] : [],
      pipelines: {
        [signal ?? 'traces']: {
          receivers: ['fake_in', ...(kind === 'receiver' ? [type] : [])],
          processors: kind === 'processor' ? [type] : [],
          exporters: ['fake_out', ...(kind === 'exporter' ? [type] : [])],
        },
      },
    },
  })
}

for (const definition of components) {
  t.test(`${definition.kind} ${definition.type} starts, stops, and stops again`, async t => {
    const source = fakeReceiver('fake_in')
    const sink = fakeExporter(undefined, 'fake_out')
    const text = configWith(definition, t.testdir({}))
    const config = await configFrom(text, [...components, source.definition, sink.definition])
    for (const round of ['first', 'second']) {
      const service = await startService(config, testEnvironment())
      if (round === 'second' && definition.kind === 'processor') source.send(origin => testBatch(2, origin))
      const first = service.stop()
      t.equal(service.stop(), first, 'it is stopped once')
      await first
      for (const { held, received, created, delivered, merged, dropped } of service.ledger()) {
        t.equal(held, 0, `${round}: nothing is left in it`)
        t.equal(received + created, delivered + merged + dropped)
      }
    }
  })
}
