import {
  type Attributes,
  createNoopMeter,
  type Meter,
  type ObservableCallback,
  type ObservableResult,
} from '@opentelemetry/api'

/** A meter whose counters and gauges can be read. */
export function recordingMeter(): {
  readonly meter: Meter
  /** Of an instrument, for these attributes; 0 where nothing was said. */
  value(name: string, attributes?: Attributes): number
} {
  const values = new Map<string, number>()
  const callbacks = new Map<string, Set<ObservableCallback>>()
  const keyOf = (name: string, attributes: Attributes = {}) => `${name} ${JSON.stringify(attributes)}`
  const meter: Meter = {
    ...createNoopMeter(),
    createCounter: name => ({
      add: (count: number, attributes?: Attributes) => {
        const key = keyOf(name, attributes)
        values.set(key, (values.get(key) ?? 0) + count)
      },
    }),
    createGauge: name => ({
      record: (value: number, attributes?: Attributes) => void values.set(keyOf(name, attributes), value),
    }),
    createObservableGauge: name => {
      const own = new Set<ObservableCallback>()
      callbacks.set(name, own)
      return {
        addCallback: callback => void own.add(callback),
        removeCallback: callback => void own.delete(callback),
      }
    },
  }
  return {
    meter,
    value(name, attributes) {
      const result: ObservableResult = {
        observe: (value, observed) => void values.set(keyOf(name, observed), value),
      }
      for (const callback of callbacks.get(name) ?? []) void callback(result)
      return values.get(keyOf(name, attributes)) ?? 0
    },
  }
}
