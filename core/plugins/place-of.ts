import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from '../package-root.ts'

/** Where code of ours is in a stack, compiled or mapped to its source. */
const rooms = ['dist', 'model', 'formats', 'core', 'cli']

/** A message in one line that says where, for errors of code that is not ours. */
export function messageWithPlace(error: unknown): string {
  const kind = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : ''
  const message = error instanceof Error ? kind + error.message : String(error)
  const place = placeOf(error)
  return place === undefined ? message : `${message} (${place})`
}

/** Where an error was made, as `file:line:column`: the first line of its stack that is neither Node's, nor ours, nor a package's. */
function placeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const own = rooms.map(room => join(packageRoot(), room, '/'))
  for (const [, place = ''] of (error.stack ?? '').matchAll(
    /^\s+at (?:.* \(|async )?((?:file:\/\/)?\/[^()]+:\d+:\d+)\)?$/gm,
  )) {
    const path = place.startsWith('file:') ? fileURLToPath(place) : place
    if (!own.some(room => path.startsWith(room)) && !path.includes('/node_modules/')) return path
  }
  return undefined
}
