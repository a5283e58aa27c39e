/** The two encodings of OTLP/HTTP. */
export type Encoding = 'protobuf' | 'json'

export const contentTypes: Readonly<Record<Encoding, string>> = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
}

/** What a Content-Type names, parameters and case aside; undefined where it is neither. */
export function encodingOf(contentType: string | undefined): Encoding | undefined {
  if (contentType === contentTypes.protobuf) return 'protobuf'
  const [type = ''] = (contentType ?? '').split(';', 1)
  const plain = type.trim().toLowerCase()
  if (plain === contentTypes.protobuf) return 'protobuf'
  return plain === contentTypes.json ? 'json' : undefined
}
