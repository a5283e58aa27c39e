import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../relay/child.ts'

export interface Nginx {
  readonly port: number
  /** The one that serves. */
  readonly workerPid: number
  /** Requests on `port` since the start: what its own counter says, without those that asked for it. */
  requests(): Promise<number>
  stop(): Promise<void>
}

/** One worker that answers three bytes from memory, on connections that are never closed. */
export async function startNginx(folder: string): Promise<Nginx> {
  const [port, statusPort] = await freePorts(2)
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen 127.0.0.1:${port!}; location / { return 200 "ok\\n"; } }
  server { listen 127.0.0.1:${statusPort!}; location / { stub_status; } }
}`,
  )
  const child = spawn('nginx', ['-c', config], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  let asked = 0
  const ask = async (): Promise<number> => {
    asked++
    return requestsIn(await textAt(statusPort!))
  }
  for (let tries = 0; ; tries++) {
    try {
      await ask()
      break
    } catch (error) {
      asked = 0
      if (tries > 50 || child.exitCode !== null) throw error
      await sleep(50)
    }
  }
  const [worker] = readFileSync(`/proc/${child.pid!}/task/${child.pid!}/children`, 'utf8').split(' ')
  return {
    port: port!,
    workerPid: Number(worker),
    requests: async () => (await ask()) - asked,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** `server accepts handled requests`, and below them the numbers (ngx_http_stub_status_module). */
const requestsIn = (text: string): number => Number(/^ *\d+ +\d+ +(\d+)/m.exec(text)?.[1])

function textAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}
