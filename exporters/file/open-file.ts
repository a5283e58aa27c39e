import { open, mkdir, chown } from 'node:fs/promises'
import { dirname } from 'node:path'
import { cannotWrite } from './errors.ts'
import type { Output, OutputSettings } from './output.ts'

export interface OpenFile extends Output {
  readonly sizeBytes: number
}

type FileSettings = Pick<OutputSettings, 'path' | 'append' | 'create_directory' | 'owner'>

/** Opens for appending, and gives what it makes to the user that this process becomes. The path stays relative: only the folder we are in need be open to him. */
export async function openFile({ path, append, create_directory, owner }: FileSettings): Promise<OpenFile> {
  if (create_directory) {
    const made = await mkdir(dirname(path), { recursive: true })
    if (made !== undefined && owner) await chown(dirname(path), owner.uid, owner.gid)
  }
  const handle = await open(path, 'a')
  if (!append) await handle.truncate(0).catch(ignoreUnlessFile)
  if (owner) await handle.chown(owner.uid, owner.gid).catch(ignoreUnlessFile)
  const { size, mode } = await handle.stat()
  const isRegular = (mode & 0o170000) === 0o100000
  let sizeBytes = size
  return {
    get sizeBytes() {
      return sizeBytes
    },
    async write(bytes) {
      try {
        await handle.appendFile(bytes)
        sizeBytes += bytes.length
      } catch (error) {
        // Half a line would spoil the next one.
        if (isRegular) await handle.truncate(sizeBytes).catch(() => undefined)
        throw cannotWrite(path, error)
      }
    },
    close: () => handle.close(),
  }
}

/** Pipes and devices (/dev/null) cannot be cut or given away. */
function ignoreUnlessFile(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EINVAL' && error.code !== 'EPERM') throw error
}
