import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where each service of the shop lives: a network namespace with one interface, on one of two bridges of the node. */
export const hosts = {
  client: '10.77.1.10',
  gateway: '10.77.1.11',
  storefront: '10.77.1.12',
  orders: '10.77.2.12',
  stock: '10.77.2.13',
  mariadb: '10.77.2.14',
  redis: '10.77.2.15',
  dns: '10.77.2.53',
} as const

export type Host = keyof typeof hosts

/** The address under which `orders` is called; iptables on the node turns it into the real one (DNAT). */
export const ordersServiceAddress = '10.77.100.12'
export const ordersPort = 8082

const prefix = 'fullspan-shop'
const node = `${prefix}-node`
const bridges = { '10.77.1': 'front', '10.77.2': 'back' } as const

export function namespaceOf(host: Host | 'node'): string {
  return `${prefix}-${host}`
}

/** Address at which a namespace reaches what runs in the node's. */
export function nodeAddressFor(host: Host): string {
  return `${subnetOf(host)}.1`
}

/**
 * Makes the namespaces, two bridges in the one called `node`, a veth pair from each host to its bridge, routes between the two
 * subnets, and the DNAT rule. The machine's own namespace is not touched. Needs root.
 */
export function createNetwork(): void {
  ip('netns', 'add', node)
  inNode('link', 'set', 'lo', 'up')
  for (const [subnet, bridge] of Object.entries(bridges)) {
    inNode('link', 'add', bridge, 'type', 'bridge')
    inNode('addr', 'add', `${subnet}.1/24`, 'dev', bridge)
    inNode('link', 'set', bridge, 'up')
  }
  for (const host of Object.keys(hosts) as Host[]) addHost(host)
  setSysctls()
  translateOrders()
}

/** Takes away every namespace that the shop made. */
export function removeNetwork(): void {
  for (const name of namespacesLeft()) ip('netns', 'del', name)
}

/** Ends what still runs in the namespaces of a shop that was killed, and takes them away. */
export function removeLeftovers(): void {
  for (const name of namespacesLeft()) {
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n')
    for (const pid of pids.filter(each => each !== '')) killIfThere(Number(pid))
  }
  removeNetwork()
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended in between.
  }
}

/** Names of the shop's namespaces that are there. */
export function namespacesLeft(): string[] {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n')
  return names.map(line => line.split(' ')[0] ?? '').filter(name => name.startsWith(`${prefix}-`))
}

function addHost(host: Host): void {
  const name = namespaceOf(host)
  const bridge = bridges[subnetOf(host)]
  const port = `port-${host}`
  ip('netns', 'add', name)
  ip('-n', node, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  inNode('link', 'set', port, 'master', bridge, 'up')
  ip('-n', name, 'addr', 'add', `${hosts[host]}/24`, 'dev', 'eth0')
  ip('-n', name, 'link', 'set', 'lo', 'up')
  ip('-n', name, 'link', 'set', 'eth0', 'up')
  ip('-n', name, 'route', 'add', 'default', 'via', nodeAddressFor(host))
}

/**
 * Packets between the two bridges are routed. What stays on one bridge must not pass iptables there, or DNAT would happen one
 * interface earlier; `bridge-nf-call-iptables` exists only where br_netfilter is loaded.
 */
function setSysctls(): void {
  const settings: Record<string, string> = {
    'net/ipv4/ip_forward': '1',
    'net/ipv4/conf/all/rp_filter': '0',
    'net/bridge/bridge-nf-call-iptables': '0',
  }
  for (const [name, value] of Object.entries(settings)) {
    const script = `if [ -e /proc/sys/${name} ]; then echo ${value} > /proc/sys/${name}; fi`
    execFileSync('ip', ['netns', 'exec', node, 'sh', '-c', script])
  }
}

function translateOrders(): void {
  const rule = ['-t', 'nat', '-A', 'PREROUTING', '-d', ordersServiceAddress, '-p', 'tcp', '--dport', '80']
  const target = ['-j', 'DNAT', '--to-destination', `${hosts.orders}:${ordersPort}`]
  execFileSync('ip', ['netns', 'exec', node, 'iptables', '-w', ...rule, ...target])
}

function subnetOf(host: Host): keyof typeof bridges {
  return hosts[host].startsWith('10.77.1.') ? '10.77.1' : '10.77.2'
}

function inNode(...words: string[]): void {
  ip('-n', node, ...words)
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** What the demo needs and this machine lacks; empty if it can run. */
export function missingForShop(): string[] {
  const missing: string[] = []
  if (process.getuid?.() !== 0) missing.push('root (network namespaces and eBPF)')
  if (!existsSync('/sys/kernel/btf/vmlinux')) missing.push('kernel BTF (/sys/kernel/btf/vmlinux)')
  for (const command of [
    'ip',
    'iptables',
    'nginx',
    'mariadbd',
    'mariadb-install-db',
    'redis-server',
    'dnsmasq',
  ]) {
    if (!isCommand(command)) missing.push(command)
  }
  if (!existsSync('/usr/bin/python3') || !hasPymysql()) missing.push('python3-pymysql')
  return missing
}

function isCommand(name: string): boolean {
  return ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some(folder => existsSync(`${folder}/${name}`))
}

function hasPymysql(): boolean {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import pymysql'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
