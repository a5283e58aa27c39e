export type Level = 'MUST' | 'SHOULD' | 'MAY'

/** One normative sentence of a specification, in our words, with what shows that it holds. */
export interface Sentence<World> {
  /** Stable name: `http-limit-413`. */
  readonly id: string
  readonly level: Level
  /** Our own words, not the specification's. */
  readonly says: string
  /** By name; each throws where the sentence does not hold. */
  readonly checks: Readonly<Record<string, (world: World) => Promise<void> | void>>
}

/** What one section of a specification asks of one side. */
export interface Chapter<World> {
  /** `OTLP 1.11, "OTLP/HTTP Response"` */
  readonly source: string
  readonly sentences: readonly Sentence<World>[]
}
