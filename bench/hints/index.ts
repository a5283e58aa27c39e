import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../core/package-root.ts'
import { median } from '../compare.ts'
import type { BenchOptions, Part } from '../part.ts'
import { rounded, tableLines, times } from '../table.ts'

/** What the Node preload that gives hints costs the application. */
export const hints: Part = {
  name: 'hints',
  description: 'the Node preload that gives hints: CPU of a server by request, with it and without',
  async run({ isQuick, only }: BenchOptions, print): Promise<void> {
    if (!'hints'.includes(only)) return
    const upstream = await listening(http.createServer((_, response) => response.end('ok')))
    let hinted = 0
    const sink = await listening(
      http.createServer((request, response) => {
        request.on(
          'data',
          (chunk: Buffer) => (hinted += chunk.toString('latin1').split('"name":"hint"').length - 1),
        )
        request.on('end', () => response.end('{}'))
      }),
    )
    const start = (more: readonly string[]) => startServer(more, portOf(upstream), portOf(sink))
    const [plain, withHints] = await Promise.all([start([]), start(['--require', preload])])
    try {
      const requests = isQuick ? 500 : 8000
      const pairs: { plain: number; withHints: number }[] = []
      for (let round = 0; round <= (isQuick ? 1 : 7); round++) {
        const pair = { plain: await cpuOf(plain, requests), withHints: await cpuOf(withHints, requests) }
        if (round > 0) pairs.push(pair)
      }
      const row = (name: string, cpu: number, ratio: number) => [name, `${cpu.toFixed(1)} µs`, times(ratio)]
      const [ours, base] = [median(pairs.map(pair => pair.withHints)), median(pairs.map(pair => pair.plain))]
      print(
        'hints: a Node server that makes one call (node:http, keep-alive) for each request, 16 at a time\n',
      )
      const ratio = median(pairs.map(pair => pair.withHints / pair.plain))
      const rows = [row('plain', base, 1), row('with the preload', ours, ratio)]
      for (const line of tableLines(['server', 'CPU a request', 'ratio'], rows)) print(line)
      print(`\n${rounded(hinted)} hints came\n`)
    } finally {
      for (const { end } of [plain, withHints]) end()
      for (const server of [upstream, sink]) {
        server.close()
        server.closeAllConnections()
      }
    }
  },
}

const preload = join(packageRoot(), 'processors/span_association/hints/node.cjs')

const source = `
const http = require('node:http')
const agent = new http.Agent({ keepAlive: true })
const port = Number(process.env.UPSTREAM)
http.createServer((request, response) => {
  if (request.url === '/cpu') {
    const { user, system } = process.cpuUsage()
    return response.end(String(user + system))
  }
  setImmediate(async () => {
    await null
    http.get({ port, agent }, answer => answer.resume().on('end', () => response.end('ok')))
  })
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
process.stdin.resume().on('end', () => process.exit())
`

interface Server {
  readonly port: number
  readonly end: () => void
}

async function startServer(more: readonly string[], upstream: number, sink: number): Promise<Server> {
  const child = spawn(process.execPath, [...more, '-e', source], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      UPSTREAM: String(upstream),
      FULLSPAN_HINT_ENDPOINT: `http://127.0.0.1:${sink}/v1/traces`,
    },
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { port: Number(line), end: () => child.stdin.end() }
}

/** CPU of the server for each of so many requests, in µs. */
async function cpuOf({ port }: Server, requests: number): Promise<number> {
  const agent = new http.Agent({ keepAlive: true })
  const get = async (path: string): Promise<string> => {
    const [response] = (await once(http.get({ port, agent, path }), 'response')) as [http.IncomingMessage]
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return text
  }
  const before = Number(await get('/cpu'))
  let left = requests
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (left-- > 0) await get('/')
    }),
  )
  const after = Number(await get('/cpu'))
  agent.destroy()
  return (after - before) / requests
}

async function listening(server: http.Server): Promise<http.Server> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port
}
