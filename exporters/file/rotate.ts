import { readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { cannotRotate, cannotWrite } from './errors.ts'
import { type OpenFile, openFile } from './open-file.ts'
import type { Output, OutputSettings, Rotation } from './output.ts'

const dayMs = 86_400_000

/** A file that is renamed when it is full: `traces.jsonl` → `traces-2026-11-22T10-30-44.123.jsonl`, as the Collector names them. */
export async function rotating(settings: OutputSettings, rotation: Rotation): Promise<Output> {
  const { path, nowMs } = settings
  const maxBytes = rotation.max_megabytes * 2 ** 20
  let file: OpenFile | undefined = await openFile({ ...settings, append: true })
  await assertRotatable(settings)

  const rotate = async (): Promise<OpenFile> => {
    await file?.close()
    file = undefined
    await rename(path, backupName(path, nowMs())).catch(ignoreMissing)
    const next = await openFile({ ...settings, owner: undefined, append: true })
    await removeOld(path, rotation, nowMs())
    return next
  }
  return {
    async write(bytes) {
      if (!file || (file.sizeBytes > 0 && file.sizeBytes + bytes.length > maxBytes)) {
        try {
          file = await rotate()
        } catch (error) {
          throw cannotWrite(path, error)
        }
      }
      await file.write(bytes)
    },
    close: async () => file?.close(),
  }
}

/** Better at the start than after 100 MB: after it nobody is root any more. */
async function assertRotatable({ path, owner }: OutputSettings): Promise<void> {
  if (!owner) return
  const folder = dirname(path)
  const { uid, gid, mode } = await stat(folder)
  const bits = uid === owner.uid ? mode >> 6 : gid === owner.gid ? mode >> 3 : mode
  if ((bits & 0o3) !== 0o3) throw cannotRotate(folder, owner.uid)
}

function backupName(path: string, nowMs: number): string {
  const { folder, stem, extension } = parts(path)
  const time = new Date(nowMs).toISOString().slice(0, -1).replaceAll(':', '-')
  return join(folder, `${stem}-${time}${extension}`)
}

async function removeOld(path: string, rotation: Rotation, nowMs: number): Promise<void> {
  const { folder, stem, extension } = parts(path)
  const stamp = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/
  const backups = (await readdir(folder))
    .filter(name => name.startsWith(`${stem}-`) && name.endsWith(extension))
    .map(name => ({ name, time: name.slice(stem.length + 1, name.length - extension.length) }))
    .filter(({ time }) => stamp.test(time))
    .sort((a, b) => b.time.localeCompare(a.time))
  const oldestMs = rotation.max_days > 0 ? nowMs - rotation.max_days * dayMs : -Infinity
  const isOld = (time: string, index: number): boolean =>
    (rotation.max_backups > 0 && index >= rotation.max_backups) ||
    Date.parse(`${time.slice(0, 11)}${time.slice(11).replaceAll('-', ':')}Z`) < oldestMs
  for (const [index, { name, time }] of backups.entries()) {
    if (isOld(time, index)) await unlink(join(folder, name)).catch(ignoreMissing)
  }
}

function parts(path: string): { folder: string; stem: string; extension: string } {
  const extension = extname(path)
  return { folder: dirname(path), stem: basename(path, extension), extension }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
