import { readFile } from 'node:fs/promises'
import { FullspanError } from '../errors.ts'
import type { Infer, ObjectSchema } from '../schema.ts'

/** The Collector's client `tls`, for exporters. */
export const clientTlsSchema = {
  type: 'object',
  description: 'How the other side is trusted, and what it may ask of us.',
  additionalProperties: false,
  default: {},
  properties: {
    insecure: {
      type: 'boolean',
      default: false,
      description: 'true speaks plain text to an endpoint that is written without a scheme.',
    },
    insecure_skip_verify: {
      type: 'boolean',
      default: false,
      description: 'true trusts any certificate. For trying things out.',
    },
    server_name_override: {
      type: 'string',
      description: 'The name that the certificate must have, where it is not the host of the endpoint.',
    },
    ca_file: {
      type: 'string',
      description: 'PEM file with the authorities to trust instead of the usual ones.',
    },
    cert_file: { type: 'string', description: 'PEM file with our own certificate and its chain.' },
    key_file: { type: 'string', description: 'PEM file with the private key of `cert_file`.' },
  },
} as const satisfies ObjectSchema

/** What node:tls takes. */
export interface ClientTls {
  readonly rejectUnauthorized: boolean
  readonly servername?: string
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** Reads the files once, at the start; throws FullspanError where one cannot be read. */
export async function readClientTls(settings: Infer<typeof clientTlsSchema>): Promise<ClientTls> {
  const read = async (path: string | undefined) => (path === undefined ? undefined : readPem(path))
  const [ca, cert, key] = await Promise.all([
    read(settings.ca_file),
    read(settings.cert_file),
    read(settings.key_file),
  ])
  return {
    rejectUnauthorized: !settings.insecure_skip_verify,
    ...(settings.server_name_override !== undefined && { servername: settings.server_name_override }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  }
}

export async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new FullspanError({
      code: 'TLS_UNREADABLE_FILE',
      remedy: 'fix-config',
      message: `The TLS file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      cause: error,
    })
  }
}
