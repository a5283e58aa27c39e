import type { Owner } from '../../core/component.ts'
import { cannotOpen, readerGone } from './errors.ts'
import { openFile } from './open-file.ts'
import { rotating } from './rotate.ts'

export interface Output {
  /** All of the bytes or none of them. */
  write(bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

export interface OutputSettings {
  readonly path: string
  readonly append: boolean
  readonly create_directory: boolean
  readonly rotation?: Rotation | undefined
  /** Who must be able to go on writing after the start. */
  readonly owner: Owner | undefined
  readonly nowMs: () => number
}

export interface Rotation {
  readonly max_megabytes: number
  readonly max_backups: number
  readonly max_days: number
}

export async function openOutput(settings: OutputSettings): Promise<Output> {
  if (settings.path === '-') return standardOutput(process.stdout)
  try {
    const { rotation } = settings
    return rotation ? await rotating(settings, rotation) : await openFile(settings)
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw cannotOpen(settings.path, error)
    throw error
  }
}

function standardOutput(stream: NodeJS.WriteStream): Output {
  // A failed write tells its caller; the event would end the process.
  stream.on('error', () => undefined)
  return {
    write: bytes =>
      new Promise((resolve, reject) => {
        stream.write(bytes, error => {
          if (error) reject(readerGone(error))
          else resolve()
        })
      }),
    close: () => Promise.resolve(),
  }
}
