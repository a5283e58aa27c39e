import { readFileSync } from 'node:fs'
import { createRequire, type LoadHook, type ResolveHook } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Message, transformSync } from 'esbuild'

// This file runs in the thread that Node resolves and loads modules in; nothing else may import it.

/** What a plugin's `import … from 'fullspan'` gives, wherever it lies: a second copy would have classes of its own. */
const instance = new URL('../../index.js', import.meta.url).href
/** Packages that plugins may use without having them: those that types of ours come from. */
const lent = /^(rxjs|@opentelemetry\/api)(\/|$)/
const typescript = /^file:.*\.m?ts$/
/** Before a name that is to be resolved as if the file in `from` imported it. */
const pluginScheme = 'fullspan-plugin:'

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'fullspan') return { url: instance, format: 'module', shortCircuit: true }
  if (specifier.startsWith(pluginScheme)) {
    const { searchParams } = new URL(specifier)
    return next(searchParams.get('name') ?? '', { ...context, parentURL: searchParams.get('from') ?? '' })
  }
  try {
    return await next(specifier, context)
  } catch (error) {
    if (lent.test(specifier)) return next(specifier, { ...context, parentURL: instance })
    for (const other of sourceNames(specifier, context.parentURL)) {
      try {
        return await next(other, context)
      } catch {
        // The error for the name that was written says more.
      }
    }
    throw error
  }
}

export const load: LoadHook = async (url, context, next) => {
  if (!typescript.test(url)) return next(url, context)
  return { format: 'module', source: javascriptOf(fileURLToPath(url)), shortCircuit: true }
}

/** `./x.js` and `./x` in a TypeScript file may mean `./x.ts`, as compilers and bundlers have it. */
function sourceNames(specifier: string, parent = ''): readonly string[] {
  if (!typescript.test(parent) || !/^\.{1,2}\//.test(specifier)) return []
  if (/\.m?js$/.test(specifier)) return [specifier.replace(/js$/, 'ts')]
  return [`${specifier}.ts`, `${specifier}/index.ts`]
}

/** Takes the types away; they are not checked. The source map goes along, so that stack traces name the file's own lines. */
function javascriptOf(file: string): string {
  try {
    const { code } = esbuild()(readFileSync(file, 'utf8'), {
      loader: 'ts',
      format: 'esm',
      target: 'node20',
      sourcemap: 'inline',
      sourcefile: file,
    })
    return code
  } catch (error) {
    const message = firstMessageOf(error)
    if (!message) throw error
    const { line = 1, column = 0 } = message.location ?? {}
    throw new SyntaxError(`${file}:${line}:${column + 1}: ${message.text}`)
  }
}

let transform: typeof transformSync | undefined

/** Loaded when the first TypeScript file comes, and with one short process for each file, none that stays. */
function esbuild(): typeof transformSync {
  process.env['ESBUILD_WORKER_THREADS'] = '0'
  const require = createRequire(import.meta.url)
  return (transform ??= (require('esbuild') as { transformSync: typeof transformSync }).transformSync)
}

function firstMessageOf(error: unknown): Message | undefined {
  return error instanceof Error && 'errors' in error ? (error.errors as Message[])[0] : undefined
}
