/**
 * Messages in protobufjs's JSON form (`Root.fromJSON({ nested: messages })` takes them), flat: names are ours where two
 * packages use the same one, since neither wire nor JSON carries message names. Field names, numbers and types are those of
 * opentelemetry-proto 1.11.
 */
export interface MessageSchema {
  readonly fields: Readonly<Record<string, FieldSchema>>
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>
}

export interface EnumSchema {
  readonly values: Readonly<Record<string, number>>
}

export interface FieldSchema {
  readonly id: number
  /** A scalar type of protobuf, or the name of a message or an enum. */
  readonly type: string
  readonly rule?: 'repeated'
}

export type Schemas = Readonly<Record<string, MessageSchema | EnumSchema>>
