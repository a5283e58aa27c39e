import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { packageRoot } from '../../../core/package-root.ts'
import { readJsonRequest } from '../../../formats/otlp/json-read.ts'
import { names } from '../../../model/attribute-names.ts'
import { Batch } from '../../../model/batch.ts'
import { startAssociation } from '../../helpers/association.ts'
import { at, batchOf, type Piece, sight } from '../../helpers/stack.ts'

const preload = join(packageRoot(), 'processors/span_association/hints/node.cjs')
const isLinux = existsSync('/proc/self/ns/net')

/**
 * An ordinary server: waits at random, calls another one (with node:http or fetch), waits, calls it twice at once, answers. And a
 * timer of its own calls while requests are open.
 */
const server = `
const http = require('node:http')
const { setTimeout: wait } = require('node:timers/promises')
const agent = new http.Agent({ keepAlive: true, maxSockets: 3 })
const up = 'http://127.0.0.1:' + process.env.UPSTREAM
const byHttp = path => new Promise((resolve, reject) => {
  http.get(up + path, { agent }, response => response.resume().on('end', resolve)).on('error', reject)
})
const byFetch = path => fetch(up + path).then(response => response.text())
const serve = async request => {
  const { searchParams } = new URL(request.url, up)
  const [n, call] = [searchParams.get('n'), searchParams.get('by') === 'fetch' ? byFetch : byHttp]
  await wait(Math.random() * 20)
  await call('/first?n=' + n)
  await wait(Math.random() * 20)
  await Promise.all([call('/second?n=' + n), call('/third?n=' + n)])
}
http.createServer((request, response) => {
  serve(request).then(() => response.end('done'), error => response.writeHead(500).end(String(error)))
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
setTimeout(() => byHttp('/own?n=none'), 60)
process.stdin.resume().on('end', () => process.exit())
`

interface Seen {
  readonly n: string
  readonly path: string
  readonly clientPort: number
  readonly serverPort: number
  readonly fromUs: number
  toUs: number
}

/** Not from `performance.timeOrigin`: that is off by milliseconds where a process had to wait while it started. */
let offsetMs = -Infinity
function nowUs(): number {
  const wallMs = Date.now() // first, so that a pause between the two makes the offset smaller, not larger
  const nowMs = performance.now()
  offsetMs = Math.max(offsetMs, wallMs - nowMs)
  return (offsetMs + nowMs) * 1000
}

t.test(
  'with the preload every call of a busy Node server finds its request, by http and by fetch',
  { skip: isLinux ? false : 'needs /proc of Linux' },
  async t => {
    for (const untilMs = performance.now() + 3; performance.now() < untilMs;) nowUs()
    const calls: Seen[] = []
    const requests: Seen[] = []
    const bodies: Buffer[] = []

    const upstream = http.createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://upstream')
      const { remotePort = 0, localPort = 0 } = request.socket
      const n = url.searchParams.get('n') ?? ''
      const call: Seen = {
        n,
        path: url.pathname,
        clientPort: remotePort,
        serverPort: localPort,
        fromUs: nowUs(),
        toUs: 0,
      }
      calls.push(call)
      setTimeout(() => {
        response.end('ok')
        call.toUs = nowUs()
      }, Math.random() * 20)
    })
    const collector = http.createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        bodies.push(Buffer.concat(chunks))
        response.end('{}')
      })
    })
    const ports = await Promise.all([upstream, collector].map(listen))
    const child = spawn(process.execPath, ['--require', preload, '-e', server], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        UPSTREAM: String(ports[0]),
        FULLSPAN_HINT_ENDPOINT: `http://127.0.0.1:${ports[1]}/v1/traces`,
      },
    })
    t.teardown(() => {
      child.stdin.end()
      upstream.close()
      upstream.closeAllConnections()
      collector.close()
      collector.closeAllConnections()
    })
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    const port = Number(line)

    const agent = new http.Agent({ keepAlive: true })
    const ask = async (n: number) => {
      const fromUs = nowUs()
      const request = http.get({
        host: '127.0.0.1',
        port,
        agent,
        path: `/?n=${n}&by=${n % 2 === 0 ? 'http' : 'fetch'}`,
      })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      const { localPort: clientPort = 0 } = request.socket ?? {}
      t.equal(response.statusCode, 200)
      response.resume()
      await once(response, 'end')
      requests.push({ n: String(n), path: '/', clientPort, serverPort: port, fromUs, toUs: nowUs() })
    }
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, n) => ask(round * 20 + n)))
      // the test's own clock readings are not as exact as capture's
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    agent.destroy()
    const hinted = () => bodies.reduce((sum, body) => sum + body.toString().split('"hint"').length - 1, 0)
    while (hinted() < calls.length) await new Promise(resolve => setTimeout(resolve, 20))

    const run = await startAssociation()
    const pid = child.pid ?? 0
    for (const seen of requests) run.input$.next(batchOf([sightOf('s-p', pid, seen, requests)]))
    for (const seen of calls) run.input$.next(batchOf([sightOf('c-p', pid, seen, calls)]))
    for (const body of bodies) {
      const { bytes } = readJsonRequest('traces', body)
      run.input$.next(Batch.ofRequest('traces', bytes, 1))
    }
    run.clock.advance(30_000)

    const spans = run.spans()
    t.equal(spans.length, requests.length + calls.length)
    const nOf = (spanId: string) => spans.find(span => span.spanId === spanId)?.text('n') ?? ''
    const outgoing = spans.filter(span => span.name.startsWith('c-p'))
    t.equal(outgoing.length, 3 * 60 + 1)
    t.strictSame(
      outgoing.map(span => [span.text(names.linkRule), nOf(span.parentSpanId)]),
      outgoing.map(span => (span.text('n') === 'none' ? ['', ''] : ['runtime_hint', span.text('n')])),
    )
  },
)

async function listen(listening: http.Server): Promise<number> {
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return (listening.address() as AddressInfo).port
}

/** What capture would have seen. */
function sightOf(point: 's-p' | 'c-p', pid: number, seen: Seen, all: readonly Seen[]): Piece {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
  const others = all.filter(other => other !== seen && other.clientPort === seen.clientPort)
  const next = Math.min(...others.map(({ fromUs }) => (fromUs > seen.fromUs ? fromUs : Infinity)))
  const relativeUs = (us: number) => us - Number(at(0) / 1000n)
  return sight({
    point,
    seq: seen.clientPort * 1_000_000 + all.indexOf(seen),
    pid,
    from: relativeUs(seen.fromUs),
    // the client has read the answer when the test has; the child some time after the test sent its own
    to: relativeUs(point === 's-p' ? seen.toUs : Math.min(next - 1, seen.toUs + 1_000_000)),
    attributes: {
      n: seen.n,
      [names.keyProcess]: `${bootId}/${pid}/1`,
      [names.netns]: Number(/\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0]),
      [names.clientAddress]: '127.0.0.1',
      [names.clientPort]: seen.clientPort,
      [names.serverAddress]: '127.0.0.1',
      [names.serverPort]: seen.serverPort,
    },
  })
}
