import { names } from '../../model/attribute-names.ts'
import type { AttributeValue } from '../../model/attributes.ts'
import { createResource, type Envelope } from '../../model/resource.ts'

/** How a service is observed and how it serves: `gateway` and `threads` have no agent, `database` speaks no HTTP. */
export type ServiceKind = 'opentelemetry' | 'skywalking' | 'gateway' | 'threads' | 'database'

export interface Service {
  readonly name: string
  readonly kind: ServiceKind
  readonly host: string
  readonly pid: number
}

export type Facts = Readonly<Record<string, AttributeValue>>

/** The address of a service's namespace. */
export function addressOf({ pid }: Service): string {
  return `10.${(pid >> 16) & 255}.${(pid >> 8) & 255}.${pid & 255}`
}

export function portOf({ kind }: Service): number {
  return kind === 'database' ? 3306 : 8080
}

export function bootOf(host: string): string {
  return `boot-of-${host}`
}

/** The resource under which capture names a process. */
export function processResource({ host, name, pid }: Service): Envelope {
  return cached(`process/${host}/${pid}`, {
    [names.serviceName]: `${name}-process`,
    [names.hostName]: host,
    [names.hostId]: host,
    [names.processPid]: pid,
    [names.processExecutableName]: name,
    [names.processExecutablePath]: `/usr/bin/${name}`,
    [names.processCreationTime]: '2023-11-14T22:00:00.000Z',
  })
}

/** The resource under which capture names interfaces. */
export function hostResource(host: string): Envelope {
  return cached(`host/${host}`, {
    [names.serviceName]: host,
    [names.hostName]: host,
    [names.hostId]: host,
  })
}

/** What the agent in the process says of it: nothing by which the process could be guessed. */
export function agentResource({ name, kind }: Service): Envelope {
  return cached(`agent/${name}`, {
    'service.name': name,
    'service.version': '1.14.2',
    'telemetry.sdk.language': kind === 'skywalking' ? 'python' : 'nodejs',
    'telemetry.sdk.name': kind,
    'telemetry.sdk.version': '2.1.0',
  })
}

const resources = new Map<string, Envelope>()

function cached(key: string, attributes: Facts): Envelope {
  let resource = resources.get(key)
  if (!resource) resources.set(key, (resource = createResource(Object.entries(attributes))))
  return resource
}

/** What every sight of an exchange knows of the protocol. */
export function protocolFacts(service: Service, number: number): Facts {
  if (service.kind === 'database') {
    return {
      [names.networkProtocolName]: 'mysql',
      [names.dbSystemName]: 'mariadb',
      [names.dbOperationName]: 'SELECT',
      [names.dbQueryText]: 'SELECT id, total FROM orders WHERE customer = ?',
      [names.dbQuerySummary]: 'SELECT orders',
      [names.dbNamespace]: 'shop',
      [names.dbCollectionName]: 'orders',
    }
  }
  return {
    [names.networkProtocolName]: 'http',
    [names.networkProtocolVersion]: '1.1',
    [names.httpRequestMethod]: 'GET',
    [names.httpRequestHost]: `${service.name}:8080`,
    [names.httpResponseStatusCode]: 200,
    [names.urlPath]: `/orders/${number}`,
    [names.urlScheme]: 'http',
    [names.userAgent]: 'undici/7.2 node/20',
  }
}

/** What a SYS sight knows of its process. */
export function processFacts(
  service: Service,
  { thread, address, port }: { thread: number; address: string; port: number },
): Facts {
  return {
    [names.keyProcess]: `${bootOf(service.host)}/${service.pid}/1`,
    [names.keyRequestThread]: thread,
    [names.keyResponseThread]: thread,
    [names.threadId]: thread,
    [names.netns]: 4_026_531_840 + service.pid,
    [names.networkPeerAddress]: address,
    [names.networkPeerPort]: port,
  }
}

export function interfaceFacts(point: string, index: number): Facts {
  return {
    [names.netns]: 4_026_531_840 + index,
    [names.interfaceIndex]: index + 2,
    [names.interfaceName]: `veth-${point}`,
    [names.interfaceKind]: 'veth',
    [names.ioDirection]: point.startsWith('c') ? 'transmit' : 'receive',
  }
}

/** A server's span as SDKs write it. */
export function serverSpanFacts(
  service: Service,
  number: number,
  peer: { address: string; port: number },
): Facts {
  return {
    'http.request.method': 'GET',
    'http.route': '/orders/{id}',
    'url.path': `/orders/${number}`,
    'url.scheme': 'http',
    'http.response.status_code': 200,
    'server.address': service.name,
    'server.port': portOf(service),
    'network.peer.address': peer.address,
    'network.peer.port': peer.port,
    'user_agent.original': 'undici/7.2 node/20',
  }
}

/** A client's span as SDKs write it. */
export function clientSpanFacts(callee: Service, number: number): Facts {
  if (callee.kind === 'database') {
    return {
      'db.system.name': 'mysql',
      'db.namespace': 'shop',
      'db.operation.name': 'SELECT',
      'db.collection.name': 'orders',
      'db.query.text': 'SELECT id, total FROM orders WHERE customer = ?',
      'server.address': callee.name,
      'server.port': portOf(callee),
    }
  }
  return {
    'http.request.method': 'GET',
    'url.full': `http://${callee.name}:8080/orders/${number}`,
    'http.response.status_code': 200,
    'server.address': callee.name,
    'server.port': portOf(callee),
    'network.peer.address': addressOf(callee),
    'network.peer.port': portOf(callee),
  }
}
