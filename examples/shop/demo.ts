#!/usr/bin/env node
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../core/package-root.ts'
import { printTree } from '../../exporters/debug/print-tree.ts'
import { treesOf } from '../../exporters/debug/trace-tree.ts'
import { missingForShop } from './network.ts'
import { type Shop, startShop } from './shop.ts'
import { waitForTrace } from './traces.ts'

const usage = `Usage: node dist/examples/shop/demo.js [--mode rewrite|attach] [--keep-traces DIRECTORY]

Starts a small shop in network namespaces of its own, sends one request through all of it, and prints the trace that
Fullspan makes of it. Cleans up completely, also on Ctrl-C. Needs root.

  --mode MODE            rewrite (default): SYS and NET spans stand between the APP spans.
                         attach: APP spans are left alone.
  --keep-traces DIR      keeps the file with all traces in DIR.
`

process.exitCode = await main(process.argv.slice(2))

async function main(words: readonly string[]): Promise<number> {
  const options = parse(words)
  if (options === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if (typeof options === 'string') return fail(`${options}\n${usage}`)
  const missing = missingForShop()
  if (missing.length > 0) return fail(`The demo cannot run here. Missing: ${missing.join(', ')}.`)

  let started: Pick<Shop, 'stop' | 'abort'> | undefined
  let isStopping = false
  const stopAtOnce = () => {
    if (isStopping) return
    isStopping = true
    started?.abort()
    process.stderr.write('\nInterrupted; everything was taken away again.\n')
    process.exit(130)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopAtOnce)
  try {
    const onStarted = (shop: typeof started) => (started = shop)
    return await show(
      await startShop({ root: packageRoot(), mode: options.mode, onProgress: step, onStarted }),
      options,
    )
  } catch (error) {
    return fail(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    isStopping = true
    await started?.stop()
  }
}

interface Options {
  readonly mode: 'attach' | 'rewrite'
  readonly keepTraces: string | undefined
}

function parse(words: readonly string[]): Options | string {
  let options: Options = { mode: 'rewrite', keepTraces: undefined }
  for (let at = 0; at < words.length; at += 2) {
    const [name, value] = [words[at], words[at + 1]]
    if (name === '--help' || name === '-h') return 'help'
    if (name === '--mode' && (value === 'attach' || value === 'rewrite'))
      options = { ...options, mode: value }
    else if (name === '--keep-traces' && value !== undefined) options = { ...options, keepTraces: value }
    else return `Not understood: ${name ?? ''} ${value ?? ''}`
  }
  return options
}

async function show(shop: Shop, { keepTraces }: Options): Promise<number> {
  const id = `demo-${Date.now().toString(36)}`
  step(`one request, X-Request-ID ${id}`)
  const [reply] = await shop.buy([id])
  if (reply?.status !== 200) return fail(`The shop answered ${reply?.status ?? 0}: ${reply?.body ?? ''}`)
  step('its trace (SDKs and agents send late)')
  const batch = await waitForTrace(shop.tracesFile, id, 20_000)
  if (keepTraces !== undefined) {
    mkdirSync(keepTraces, { recursive: true })
    copyFileSync(shop.tracesFile, join(keepTraces, 'traces.jsonl'))
  }
  if (!batch) return fail(`No trace of ${id} came within 20 s.\n${shop.processes.logOf('fullspan')}`)
  process.stdout.write('\n')
  for (const tree of treesOf(batch)) process.stdout.write(printTree(tree, process.stdout.isTTY))
  process.stdout.write(`
APP: what OpenTelemetry (storefront) and SkyWalking (orders) said. SYS: system calls. NET: packets at one interface.
[rule] is why a span has its parent. nginx, stock, MariaDB, Redis and dnsmasq are not instrumented at all.

Where to look next
  make run                          the same for everything on this machine, no config needed
  examples/shop/pipeline.yaml       the config of this demo
  docs/architecture.md              how it works
`)
  return 0
}

function step(text: string): void {
  process.stderr.write(`· ${text}\n`)
}

function fail(text: string): number {
  process.stderr.write(`${text.trimEnd()}\n`)
  return 1
}
