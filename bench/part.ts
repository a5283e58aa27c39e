export interface BenchOptions {
  /** A fast run to see that everything works; its figures mean little. */
  readonly isQuick: boolean
  /** Path of an OpenTelemetry Collector to measure in turn with us. */
  readonly peer: string | undefined
  /** Folder for CPU profiles of Fullspan. */
  readonly profile: string | undefined
  /** Only this causality set, to be read and written, not scored. */
  readonly spans: string | undefined
  /** Folder of the causality sets. */
  readonly data: string
  /** Only rows whose name contains this. */
  readonly only: string
}

/** What `bench/main.ts` runs by name. */
export interface Part {
  readonly name: string
  readonly description: string
  run(options: BenchOptions, print: (line: string) => void): Promise<void> | void
}
