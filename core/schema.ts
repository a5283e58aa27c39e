/**
 * The part of JSON Schema (draft 2020-12) in which components describe their config, and the type that a config has after
 * validation: a property with a default is present, `format: duration` is milliseconds, `format: size` is bytes.
 */
export interface ObjectSchema {
  readonly type: 'object'
  readonly description?: string
  /** What the Collector does instead, and why we do not: for docs/reference/differences.md. */
  readonly differs?: string
  readonly additionalProperties: false | Schema
  readonly required?: readonly string[]
  readonly properties: Readonly<Record<string, Schema>>
  /** `{}`: the object and the defaults in it are there even if the key is missing. */
  readonly default?: Readonly<Record<string, unknown>>
  readonly secret?: never
}

export interface StringSchema {
  readonly type: 'string'
  readonly description?: string
  readonly differs?: string
  readonly default?: string
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minLength?: number
  /** `duration`: `5s`, `200ms`, `1m30s` → milliseconds. `size`: `4MiB`, `64_000` → bytes. `endpoint`: `host:port`. */
  readonly format?: 'duration' | 'size' | 'endpoint' | 'uri'
  /** Hidden wherever config is printed. */
  readonly secret?: boolean
  readonly examples?: readonly string[]
}

export interface NumberSchema {
  readonly type: 'number' | 'integer'
  readonly description?: string
  readonly differs?: string
  readonly default?: number
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly examples?: readonly number[]
}

export interface BooleanSchema {
  readonly type: 'boolean'
  readonly description?: string
  readonly differs?: string
  readonly default?: boolean
}

export interface ArraySchema {
  readonly type: 'array'
  readonly description?: string
  readonly differs?: string
  readonly items: Schema
  readonly default?: readonly unknown[]
  readonly minItems?: number
  readonly uniqueItems?: boolean
}

export type Schema = ObjectSchema | StringSchema | NumberSchema | BooleanSchema | ArraySchema

type Present<P extends Readonly<Record<string, Schema>>, R extends string> = {
  [K in keyof P]: K extends R ? K : P[K] extends { readonly default: unknown } ? K : never
}[keyof P]

type RequiredOf<S> = S extends { readonly required: readonly (infer R extends string)[] } ? R : never

/** A checked config whose schema is not known here: what `create` of some component takes. */
export type Settings = Infer<ObjectSchema>

/** The config type after validation and defaults. */
export type Infer<S> = S extends { readonly type: 'object' }
  ? InferObject<S>
  : S extends { readonly type: 'string'; readonly format: 'duration' | 'size' }
    ? number
    : S extends { readonly type: 'string'; readonly enum: readonly (infer E)[] }
      ? E
      : S extends { readonly type: 'string' }
        ? string
        : S extends { readonly type: 'number' | 'integer' }
          ? number
          : S extends { readonly type: 'boolean' }
            ? boolean
            : S extends { readonly type: 'array'; readonly items: infer I }
              ? readonly Infer<I>[]
              : unknown

type InferObject<S> = S extends { readonly properties: infer P extends Readonly<Record<string, Schema>> }
  ? { readonly [K in Present<P, RequiredOf<S>>]: Infer<P[K]> } & {
      readonly [K in Exclude<keyof P, Present<P, RequiredOf<S>>>]?: Infer<P[K]>
    } & (S extends { readonly additionalProperties: infer A extends Schema }
        ? Readonly<Record<string, Infer<A>>>
        : unknown)
  : unknown
