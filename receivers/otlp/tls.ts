import { readPem } from '../../core/delivery/tls.ts'
import type { Infer, ObjectSchema } from '../../core/schema.ts'

/** The Collector's server `tls`. */
export const tlsSchema = {
  type: 'object',
  description: 'TLS for this server; without it the port speaks plain text.',
  additionalProperties: false,
  required: ['cert_file', 'key_file'],
  properties: {
    cert_file: { type: 'string', description: 'PEM file with the certificate and its chain.' },
    key_file: { type: 'string', description: 'PEM file with the private key.' },
    client_ca_file: {
      type: 'string',
      description: 'PEM file with the authorities that senders must have a certificate of.',
    },
  },
} as const satisfies ObjectSchema

/** What node:tls takes. */
export interface ServerTls {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca?: Buffer
  readonly requestCert?: boolean
}

/** Reads the files once, at the start; throws FullspanError where one cannot be read. */
export async function readServerTls(
  settings: Infer<typeof tlsSchema> | undefined,
): Promise<ServerTls | undefined> {
  if (!settings) return undefined
  const cert = await readPem(settings.cert_file)
  const key = await readPem(settings.key_file)
  if (settings.client_ca_file === undefined) return { cert, key }
  return { cert, key, ca: await readPem(settings.client_ca_file), requestCert: true }
}
