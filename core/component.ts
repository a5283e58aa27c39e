import type { Meter } from '@opentelemetry/api'
import type { Observable } from 'rxjs'
import type { Batch, Origin, Signal } from '../model/batch.ts'
import type { Span } from '../model/span.ts'
import type { Clock } from './clock.ts'
import type { Infer, ObjectSchema } from './schema.ts'

/** How far a component can be trusted, in the Collector's words. */
export type Stability = 'development' | 'alpha' | 'beta' | 'stable'

/** What every component gets beside its config. */
export interface ComponentContext {
  /** `type` or `type/name`, as in the config. */
  readonly id: string
  readonly logger: Logger
  readonly meter: Meter
  readonly clock: Clock
  /** Aborted when the component is to stop: receivers then complete, once what they have in hand was answered. */
  readonly stopping: AbortSignal
  /** Started extensions by id; throws where there is none of that id. */
  getExtension(id: string): unknown
  /** Which process is at the other end of a connection to us, where capture has seen it. */
  readonly peers: Peers
  /**
   * The user that this process becomes once all components have started; undefined where it stays who it is. Files made before
   * must be given to it.
   */
  readonly owner?: Owner | undefined
  /** TCP ports on which the config makes this process listen. */
  readonly ownPorts: readonly number[]
  /** Where the checkout or the installed package lies: for files that are not code (the probe, the page). */
  readonly packageRoot: string
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Leveled log, pino's shape: `logger.warn({ port }, 'message')`. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Filled by `ebpf`, read by `span_association`: `address:port` of the far end → key of its process. Bounded. */
export interface Peers {
  set(endpoint: string, processKey: string): void
  get(endpoint: string): string | undefined
}

/** Core's reply to an intake. `refused` before the fan-out, so no branch has seen any of it. */
export type Answer =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly reason: string; readonly retryAfterMs: number }

/** What one receiver took in at once: the unit that is answered and settled. Spans carry it as their `origin`. */
export interface Intake extends Origin {
  readonly batch: Batch
}

export interface ReceiverContext extends ComponentContext {
  /** What pipelines take from this receiver. Anything else is refused as not wanted: offer only these. */
  readonly signals: readonly Signal[]
  /**
   * Wraps what was taken in. `build` gets the origin to put on the batch. `answer` is called exactly once: at once
   * or later, after every branch has taken it, or it was refused.
   */
  intake(
    build: (origin: Origin) => Batch,
    options?: { answer?: (answer: Answer) => void; peer?: string | undefined },
  ): Intake
  /** Counts items that could not even become a batch (broken input), by reason. */
  refuse(signal: Signal, items: number, reason: string): void
}

export interface ProcessorContext extends ComponentContext {
  /** The pipeline this instance belongs to, e.g. `traces/tail`. */
  readonly pipeline: string
  /** Settles items that leave the pipeline here, with a reason of a few words (`not sampled`). */
  drop(items: Batch | readonly Span[], reason: string): void
  /** Settles items that went into others (duplicates, paired halves). */
  merge(items: Batch | readonly Span[]): void
  /** Counts items that this component made and that belong to no intake. */
  created(items: number): void
  /** Asked before every intake is accepted, cheap: a refusal here refuses the whole intake. */
  onAdmission(admit: (batch: Batch) => Refusal | undefined): void
}

export interface Refusal {
  readonly reason: string
  readonly retryAfterMs: number
}

/**
 * One batch in, what becomes of it out: the same, another, several, or none. What is missing from the output and was not explained by
 * `context.drop` or `context.merge` counts as dropped. Called for one batch at a time, in order, also if it returns a promise.
 */
export type BatchFunction = (
  batch: Batch,
  context: ProcessorContext,
) => Batch | readonly Batch[] | undefined | Promise<Batch | readonly Batch[] | undefined>

/**
 * For windows and time: an RxJS operator. It must emit or settle everything that it takes. When its source completes it
 * emits what it still holds, and completes. State lives inside the operator function: after a throw core applies it anew.
 */
export interface BatchOperator {
  readonly operator: (input$: Observable<Batch>) => Observable<Batch>
}

export interface ExporterContext extends ComponentContext {
  /**
   * Counts items of the batch in hand that the other side rejected while taking the rest (partial success), by reason.
   * Before its Export resolves; the rest of the batch then counts as delivered.
   */
  drop(batch: Batch, items: number, reason: string): void
}

/**
 * Delivers one batch. Resolves when the other side has it. Rejects with FullspanError: `retry` is tried again by core
 * (queue, back-off and concurrency are core's, from the config keys of `deliverySchema`), anything else drops the batch.
 * `cancelled` fires at the end of the drain time.
 */
export type Export = (batch: Batch, cancelled: AbortSignal) => Promise<void>

/** An exporter that must close something after its last batch. */
export interface ClosingExporter {
  readonly export: Export
  close(): Promise<void>
}

interface Definition<S extends ObjectSchema> {
  readonly type: string
  /** Other names that configs may use (the Collector's older ones). */
  readonly aliases?: readonly string[]
  /** One sentence for `fullspan components` and the reference. */
  readonly description: string
  readonly stability: Stability
  readonly signals: readonly Signal[]
  readonly schema: S
  /** What the schema cannot say: settings that contradict each other. Called on a config that the schema allows. */
  check?(config: Infer<S>): readonly Complaint[]
}

/** A setting (`rotation.max_backups`) and what is wrong with it: the rest of a sentence that begins with the setting. */
export interface Complaint {
  readonly setting: string
  readonly message: string
}

export interface ReceiverDefinition<S extends ObjectSchema = ObjectSchema> extends Definition<S> {
  readonly kind: 'receiver'
  /** Binds and opens what can fail, then returns the stream; it starts when core subscribes. */
  create(config: Infer<S>, context: ReceiverContext): Observable<Intake> | Promise<Observable<Intake>>
}

export interface ProcessorDefinition<S extends ObjectSchema = ObjectSchema> extends Definition<S> {
  readonly kind: 'processor'
  create(
    config: Infer<S>,
    context: ProcessorContext,
  ): BatchFunction | BatchOperator | Promise<BatchFunction | BatchOperator>
}

export interface ExporterDefinition<S extends ObjectSchema = ObjectSchema> extends Definition<S> {
  readonly kind: 'exporter'
  create(
    config: Infer<S>,
    context: ExporterContext,
  ): Export | ClosingExporter | Promise<Export | ClosingExporter>
}

export interface ExtensionDefinition<S extends ObjectSchema = ObjectSchema> extends Omit<
  Definition<S>,
  'signals'
> {
  readonly kind: 'extension'
  /** Starts before every other component; `stop` is called after all of them. `api` is what getExtension gives. */
  create(config: Infer<S>, context: ComponentContext): Promise<{ api: unknown; stop(): Promise<void> }>
}

export type ComponentDefinition =
  ReceiverDefinition | ProcessorDefinition | ExporterDefinition | ExtensionDefinition

export function defineReceiver<const S extends ObjectSchema>(
  definition: Omit<ReceiverDefinition<S>, 'kind'>,
): ReceiverDefinition<S> {
  return { kind: 'receiver', ...definition }
}

export function defineProcessor<const S extends ObjectSchema>(
  definition: Omit<ProcessorDefinition<S>, 'kind'>,
): ProcessorDefinition<S> {
  return { kind: 'processor', ...definition }
}

export function defineExporter<const S extends ObjectSchema>(
  definition: Omit<ExporterDefinition<S>, 'kind'>,
): ExporterDefinition<S> {
  return { kind: 'exporter', ...definition }
}

export function defineExtension<const S extends ObjectSchema>(
  definition: Omit<ExtensionDefinition<S>, 'kind'>,
): ExtensionDefinition<S> {
  return { kind: 'extension', ...definition }
}
