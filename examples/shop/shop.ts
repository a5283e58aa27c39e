import { type ChildProcess, execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  createNetwork,
  type Host,
  hosts,
  namespaceOf,
  nodeAddressFor,
  ordersServiceAddress,
  removeLeftovers,
  removeNetwork,
} from './network.ts'
import { createProcesses, type Processes } from './processes.ts'

export interface ShopOptions {
  /** The checkout: where node_modules, dist and examples lie. */
  readonly root: string
  /** For the `mode` of `span_association`, where the config asks for SHOP_MODE. */
  readonly mode: 'attach' | 'rewrite'
  /** What Fullspan runs, under the checkout. Default: examples/shop/pipeline.yaml. */
  readonly config?: string
  /** What a second Fullspan runs, started before the first: the back end of a `config` that exports to one. */
  readonly backEnd?: string
  /** Is told every step, for people who wait. */
  readonly onProgress?: (step: string) => void
  /** Is given what stops it all as soon as there is something to stop. */
  readonly onStarted?: (partial: Pick<Shop, 'stop' | 'abort'>) => void
}

export interface Reply {
  readonly id: string
  readonly status: number
  readonly body: string
}

export interface Shop {
  /** Sends a request for each id, `concurrency` at once, `gapMs` apart, and gives the answers. */
  buy(ids: readonly string[], options?: { concurrency?: number; gapMs?: number }): Promise<Reply[]>
  /** OTLP JSON lines: one trace a line, as they leave Fullspan. */
  readonly tracesFile: string
  readonly directory: string
  readonly processes: Processes
  /** Stops Fullspan (drained), the services, and takes the namespaces away. */
  stop(): Promise<void>
  /** The same at once, without waiting: for an exit that cannot wait. */
  abort(): void
}

/** Starts network, services and Fullspan, and warms all of it up. Needs root and what `missingForShop` lists. */
export async function startShop(options: ShopOptions): Promise<Shop> {
  claimShop()
  const directory = mkdtempSync(join(tmpdir(), prefix))
  chmodSync(directory, 0o755)
  const processes = createProcesses(directory)
  const abort = () => {
    processes.kill()
    cleanUp()
  }
  const stop = async () => {
    await processes.stop()
    cleanUp()
  }
  const cleanUp = () => {
    removeNetwork()
    rmSync(directory, { recursive: true, force: true })
    rmSync(claim, { force: true })
  }
  options.onStarted?.({ stop, abort })
  try {
    return { ...(await start({ ...options, directory, processes })), stop, abort }
  } catch (error) {
    await stop()
    throw error
  }
}

const prefix = 'fullspan-shop-'
/** Holds the pid of whoever runs the shop: its namespaces have fixed names, so there can be one at a time. */
const claim = join(tmpdir(), 'fullspan-shop.pid')

/** Throws if another shop runs; takes away what one left that was killed. */
function claimShop(): void {
  const owner = existsSync(claim) ? Number(readFileSync(claim, 'utf8')) : 0
  if (owner !== process.pid && isRunning(owner)) {
    throw new Error(`another shop is running (process ${owner}). Wait until it has ended, or stop it.`)
  }
  removeLeftovers()
  for (const name of readdirSync(tmpdir())) {
    if (name.startsWith(prefix)) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  writeFileSync(claim, String(process.pid))
}

function isRunning(pid: number): boolean {
  return pid > 0 && existsSync(`/proc/${pid}`)
}

interface Site extends ShopOptions {
  readonly directory: string
  readonly processes: Processes
}

async function start(site: Site): Promise<Omit<Shop, 'stop' | 'abort'>> {
  const { directory, processes, root, onProgress = () => undefined } = site
  onProgress('network namespaces, bridges and DNAT')
  createNetwork()
  writeFileSync(join(directory, 'resolv.conf'), `nameserver ${hosts.dns}\noptions timeout:2 attempts:2\n`)
  onProgress('dnsmasq, Redis and MariaDB')
  await startDns(site)
  await Promise.all([startRedis(site), startMariadb(site)])
  onProgress('Fullspan')
  const tracesFile = join(directory, 'traces.jsonl')
  await startFullspan(site, tracesFile)
  onProgress('stock, orders, storefront and nginx')
  await startServices(site)
  const client = processes.start('client', {
    host: 'client',
    command: [process.execPath, serviceFile(root, 'client.mjs'), `${hosts.gateway}:80`],
    stdio: 'pipe',
  })
  const buy = createBuyer(client)
  onProgress('warm-up requests')
  await warmUp(buy)
  return { buy, tracesFile, directory, processes }
}

async function startDns({ processes }: Site): Promise<void> {
  const names = Object.entries({ ...hosts, orders: ordersServiceAddress })
  const records = names.map(([name, address]) => `--address=/${name}.demo/${address}`)
  const plain = [
    '--keep-in-foreground',
    '--no-resolv',
    '--no-hosts',
    '--conf-file=/dev/null',
    '--log-facility=-',
    '--pid-file=',
  ]
  processes.start('dnsmasq', { host: 'dns', command: ['dnsmasq', ...plain, '--user=root', ...records] })
  await processes.waitFor('dnsmasq', () => isListening('dns', 53))
}

async function startRedis({ processes, directory }: Site): Promise<void> {
  const options = [
    '--port',
    '6379',
    '--bind',
    '0.0.0.0',
    '--save',
    '',
    '--protected-mode',
    'no',
    '--dir',
    directory,
  ]
  processes.start('redis', { host: 'redis', command: ['redis-server', ...options] })
  await processes.waitFor('redis', () => isListening('redis', 6379))
  for (const [item, price] of [
    ['tea', '3.50'],
    ['coffee', '4.20'],
  ]) {
    execIn('redis', ['redis-cli', 'set', `price:${item}`, price ?? ''])
  }
}

async function startMariadb({ processes, directory, root }: Site): Promise<void> {
  const data = join(directory, 'mariadb')
  mkdirSync(data)
  const owner = execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim()
  chownSync(data, Number(owner), Number(owner))
  const install = [
    '--no-defaults',
    '--user=nobody',
    `--datadir=${data}`,
    '--skip-test-db',
    '--auth-root-authentication-method=normal',
  ]
  execFileSync('mariadb-install-db', install, { stdio: 'ignore' })
  const options = [
    '--no-defaults',
    '--user=nobody',
    `--datadir=${data}`,
    `--socket=${data}/socket`,
    '--bind-address=0.0.0.0',
    '--skip-name-resolve',
    `--pid-file=${data}/pid`,
  ]
  const command = ['mariadbd', ...options, `--init-file=${serviceFile(root, 'init.sql')}`]
  processes.start('mariadb', { host: 'mariadb', command })
  await processes.waitFor('mariadb', () => isListening('mariadb', 3306))
}

async function startFullspan(site: Site, tracesFile: string): Promise<void> {
  const { backEnd, config = 'examples/shop/pipeline.yaml' } = site
  if (backEnd !== undefined) await runFullspan(site, { name: 'back-end', config: backEnd, tracesFile })
  await runFullspan(site, { name: 'fullspan', config, tracesFile })
}

async function runFullspan(
  { processes, root, mode }: Site,
  { name, config, tracesFile }: { name: string; config: string; tracesFile: string },
): Promise<void> {
  processes.start(name, {
    host: 'node',
    command: [process.execPath, join(root, 'dist/cli/main.js'), 'run', '--config', join(root, config)],
    env: { SHOP_MODE: mode, SHOP_TRACES: tracesFile },
  })
  await processes.waitFor(name, () => processes.logOf(name).includes('everything is ready'))
}

async function startServices({ processes, root, directory }: Site): Promise<void> {
  const db = { DB_HOST: hosts.mariadb }
  processes.start('stock', {
    host: 'stock',
    command: ['/usr/bin/python3', serviceFile(root, 'stock.py')],
    env: db,
  })
  processes.start('orders', {
    host: 'orders',
    command: [process.execPath, serviceFile(root, 'orders.cjs')],
    env: { ...db, STOCK_HOST: hosts.stock, SW_COLLECTOR: `${nodeAddressFor('orders')}:11800` },
  })
  processes.start('storefront', {
    host: 'storefront',
    command: [process.execPath, serviceFile(root, 'storefront.mjs')],
    env: {
      REDIS_HOST: hosts.redis,
      OTLP_URL: `http://${nodeAddressFor('storefront')}:4318/v1/traces`,
      OTEL_NODE_RESOURCE_DETECTORS: 'env,host,process',
    },
  })
  await processes.waitFor('stock', () => isListening('stock', 8083))
  await processes.waitFor('orders', () => isListening('orders', 8082))
  await processes.waitFor('storefront', () => isListening('storefront', 8080))
  const work = join(directory, 'nginx')
  mkdirSync(join(work, 'tmp'), { recursive: true })
  chmodSync(join(work, 'tmp'), 0o777)
  const command = ['nginx', '-p', work, '-e', 'stderr', '-c', serviceFile(root, 'nginx.conf')]
  processes.start('nginx', { host: 'gateway', command })
  await processes.waitFor('nginx', () => isListening('gateway', 80))
}

/** Connections are opened, code is compiled, processes are bound to resources: the first requests are not typical. */
async function warmUp(buy: Shop['buy']): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const replies = await buy(['warm-up-1', 'warm-up-2', 'warm-up-3'], { gapMs: 50 })
    if (replies.every(({ status }) => status === 200)) return
    await new Promise(resolve => setTimeout(resolve, 250))
  }
  const [reply] = await buy(['warm-up'])
  throw new Error(`The shop does not answer: ${reply?.status ?? 0} ${reply?.body ?? ''}`)
}

function createBuyer(client: ChildProcess): Shop['buy'] {
  const { stdin, stdout } = client
  if (!stdin || !stdout) throw new Error('The client has no pipes.')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  return async (ids, { concurrency = 1, gapMs = 0 } = {}) => {
    stdin.write(`${JSON.stringify({ ids, concurrency, gapMs })}\n`)
    const next = await lines.next()
    if (next.done) throw new Error('The client has ended.')
    return JSON.parse(next.value) as Reply[]
  }
}

function serviceFile(root: string, name: string): string {
  return join(root, 'examples/shop/services', name)
}

/** Whether something listens on that TCP port in the host's namespace. */
function isListening(host: Host | 'node', port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const tables = execIn(host, ['cat', '/proc/net/tcp', '/proc/net/tcp6'])
  return tables.split('\n').some(line => line.includes(`:${hex} `) && / 0A /.test(line))
}

function execIn(host: Host | 'node', command: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', namespaceOf(host), ...command], { encoding: 'utf8' })
}
