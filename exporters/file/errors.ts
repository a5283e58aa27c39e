import { FullspanError } from '../../core/errors.ts'

export function cannotOpen(path: string, cause: Error): FullspanError {
  return new FullspanError({
    code: 'FILE_CANNOT_OPEN',
    remedy: 'fix-config',
    message: `The file exporter cannot write to ${path}: ${cause.message}.`,
    cause,
  })
}

export function cannotRotate(folder: string, uid: number): FullspanError {
  return new FullspanError({
    code: 'FILE_FOLDER_NOT_OURS',
    remedy: 'fix-config',
    message: `The file exporter could not rotate in ${folder}: Fullspan becomes user ${uid} after the start, who may not write there. Give the file a folder of its own, change the folder's owner, or set service.run_as.`,
  })
}

/** A full disk, a lost mount: it may come back. */
export function cannotWrite(path: string, cause: unknown): FullspanError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new FullspanError({
    code: 'FILE_CANNOT_WRITE',
    remedy: 'retry',
    message: `The file exporter cannot write to ${path} now: ${reason}.`,
    cause,
  })
}

export function readerGone(cause: unknown): FullspanError {
  return new FullspanError({
    code: 'FILE_READER_GONE',
    remedy: 'drop',
    message: 'Nobody reads our standard output any more.',
    cause,
  })
}
