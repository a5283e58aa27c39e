import { existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { BuildFailure } from 'esbuild'
import { messageWithPlace } from './place-of.ts'

/**
 * The default export of a plugin. `name` is a path or a package, as if written in the file `from`. Throws an Error whose message tells the
 * writer of the config, in one sentence, what is wrong.
 */
export async function loadPlugin(name: string, from: string): Promise<unknown> {
  const isPath = /^(\.{0,2}\/|\.{1,2}$|file:)/.test(name)
  const file = name.startsWith('file:') ? fileURLToPath(name) : resolve(dirname(from), name)
  if (isPath) mustBeFile(file)
  await import('./register.ts')
  try {
    const url = isPath ? pathToFileURL(file).href : packageUrl(name, from)
    const module = (await import(url)) as { default?: unknown }
    return module.default
  } catch (error) {
    if (!isPath && isNotInstalled(error, name)) throw notInstalled(name, from, file)
    throw new Error(await reasonOf(error, file), { cause: error })
  }
}

function mustBeFile(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) throw new Error(`there is no file ${file}.`)
  if (found.isDirectory()) throw new Error(`${file} is a folder; name the file in it.`)
}

/** See module-hooks.ts, which takes it apart again. */
function packageUrl(name: string, from: string): string {
  return `fullspan-plugin:?${new URLSearchParams({ name, from: pathToFileURL(from).href }).toString()}`
}

function isNotInstalled(error: unknown, name: string): boolean {
  return error instanceof Error && error.message.startsWith(`Cannot find package '${name}'`)
}

function notInstalled(name: string, from: string, file: string): Error {
  const folder = dirname(resolve(from))
  const hint = existsSync(file) ? ` Write "./${name}" for the file.` : ''
  return new Error(`there is no package "${name}" in a node_modules folder of ${folder} or above it.${hint}`)
}

async function reasonOf(error: unknown, file: string): Promise<string> {
  if (!(error instanceof SyntaxError)) return messageWithPlace(error)
  // Of TypeScript module-hooks.ts has put the place into the message, of an import V8 puts it above the stack.
  if (/:\d+:\d+: /.test(error.message)) return error.message
  const [, url, line, indent = ''] = /^(file:\/\/\S+):(\d+)\n.*\n( *)\^/.exec(error.stack ?? '') ?? []
  if (url !== undefined) return `${fileURLToPath(url)}:${line}:${indent.length + 1}: ${error.message}`
  return (await findSyntaxError(file)) ?? `${file}: ${error.message}`
}

/** Of JavaScript V8 keeps the place to itself. */
async function findSyntaxError(file: string): Promise<string | undefined> {
  const { build, stop } = await import('esbuild')
  try {
    const options = { bundle: true, write: false, format: 'esm', packages: 'external' } as const
    await build({ ...options, entryPoints: [file], absWorkingDir: dirname(file), logLevel: 'silent' })
    return undefined
  } catch (error) {
    const { location, text = '' } = (error as BuildFailure).errors[0] ?? {}
    if (!location) return undefined
    return `${resolve(dirname(file), location.file)}:${location.line}:${location.column + 1}: ${text}`
  } finally {
    await stop()
  }
}
