// The client: sends requests to the gateway, one after another or at once. Not instrumented.
// Reads lines from standard input: {"ids": ["…"], "concurrency": 1, "gapMs": 50}; answers each with one line of JSON.
import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'

const [host, port] = process.argv[2].split(':')
const agent = new Agent({ keepAlive: true, maxSockets: 64 })

for await (const line of createInterface({ input: process.stdin })) {
  const { ids, concurrency, gapMs } = JSON.parse(line)
  const waiting = [...ids]
  const results = []
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      results.push(await get(id))
      if (gapMs > 0) await new Promise(resolve => setTimeout(resolve, gapMs))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  console.log(JSON.stringify(results))
}

function get(id) {
  return new Promise(resolve => {
    const outgoing = request(
      { host, port, path: '/buy?item=tea', agent, headers: { 'x-request-id': id }, timeout: 10_000 },
      response => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', text => (body += text))
        response.on('end', () => resolve({ id, status: response.statusCode, body }))
      },
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 10 s')))
    outgoing.on('error', error => resolve({ id, status: 0, body: error.message }))
    outgoing.end()
  })
}
