/**
 * Every attribute that Fullspan itself sets, with what it says: the one list from which docs/reference/attributes.md is made.
 * Names without the `fullspan.` prefix are OpenTelemetry's semantic conventions (1.38); `fullspan.*` only what they lack.
 */
export const attributeNames = {
  layer: ['fullspan.span.layer', 'Which eyes saw it: `app`, `sys` or `net`.'],
  observationPoint: [
    'fullspan.observation_point',
    "Where it was seen, by DeepFlow's names: `c-app c-p c c-nd … rest local … s-nd s s-p s-app app`.",
  ],
  incomplete: [
    'fullspan.incomplete',
    'Why the span may lack something: `gap`, `lost_events`, `no_response`, `late_join`, `clock_step`, `truncated`; several are joined by commas.',
  ],
  roleInferred: [
    'fullspan.role_inferred',
    'true: client and server were told apart by ports, because the connection is older than the probe.',
  ],

  linkRule: ['fullspan.link.rule', 'The rule by which this span got its parent.'],
  linkConfidence: ['fullspan.link.confidence', 'How sure that parent is, 0 to 1.'],
  linkEvidence: ['fullspan.link.evidence', 'What the rule saw, in a few words.'],
  linkRejected: [
    'fullspan.link.rejected',
    '`explain: true`: up to three others that could have been the parent, the likeliest first: `<span id> by <rule> <confidence>: <why not>`.',
  ],
  clockOffset: [
    'fullspan.clock.offset_ns',
    "What the host's clock showed too much against the clock of its group's first host, where it was more than 1 ms. Times of spans are as they were.",
  ],
  clockUncertainty: ['fullspan.clock.uncertainty_ns', 'The offset is right within this.'],
  clockImpossible: [
    'fullspan.clock.impossible',
    '`starts_before_parent` or `ends_after_parent`, by more than clocks can be wrong: the parent is right, the times, or the order of work, are odd.',
  ],
  wraps: [
    'fullspan.wraps.span_id',
    '`mode: attach`: the APP span that this SYS or NET span is the same exchange as.',
  ],
  originalParentSpanId: [
    'fullspan.original.parent_span_id',
    'The parent that the sender gave the span, before `mode: rewrite` put others between. Empty: it was a root.',
  ],
  originalTraceId: [
    'fullspan.original.trace_id',
    'The trace id that the sender gave the span, before it joined another trace.',
  ],

  keyConnection: [
    'fullspan.key.connection',
    'The connection on its host: boot id and socket cookie (SYS) or namespace and addresses (NET).',
  ],
  keyRequestSeq: ['fullspan.key.request_seq', "TCP sequence number of the request's first byte."],
  keyResponseSeq: ['fullspan.key.response_seq', "TCP sequence number of the response's first byte."],
  keyRequestHash: [
    'fullspan.key.request_hash',
    "Hash of the request's first 16 bytes, 16 hex digits; absent if fewer were seen.",
  ],
  keyResponseHash: [
    'fullspan.key.response_hash',
    "Hash of the response's first 16 bytes, 16 hex digits; absent if fewer were seen.",
  ],
  keyMessageId: [
    'fullspan.key.message_id',
    "The protocol's own id of the exchange (DNS: transaction id and question), where it has one.",
  ],
  keyTraceparent: [
    'fullspan.key.traceparent',
    'The W3C `traceparent` header seen in the request, as it was.',
  ],
  keyB3: [
    'fullspan.key.b3',
    'B3 seen in the request, as the single header: `trace-span[-sampling]`, also where it came as `x-b3-*`.',
  ],
  keyUberTraceId: ['fullspan.key.uber_trace_id', "Jaeger's `uber-trace-id` seen in the request, as it was."],
  keyDatadog: [
    'fullspan.key.datadog',
    "Datadog's headers seen in the request: `trace:span[:priority]`, ids in hex.",
  ],
  keyXray: [
    'fullspan.key.xray',
    "AWS X-Ray's header seen in the request: `Root`, `Parent` and `Sampled` of it.",
  ],
  keySw8: [
    'fullspan.key.sw8',
    'The `sw8` header seen in the request: `traceId/segmentId/spanId` of the Exit span that wrote it; `/0` behind it where that is not sampled.',
  ],
  keyMessageContexts: [
    'fullspan.key.message_contexts',
    'Messages that the exchange moved to a broker or from it: what their headers name, as a list of `kind key` (`traceparent 00-…`, `sw8 …/…/1`).',
  ],
  keyRequestId: ['fullspan.key.request_id', '`X-Request-ID` seen in the request.'],
  keyResponseRequestId: ['fullspan.key.response_request_id', '`X-Request-ID` seen in the response.'],
  keyRequestThread: [
    'fullspan.key.request_thread',
    "Thread that moved the request's first byte, in the host's pid namespace.",
  ],
  keyResponseThread: [
    'fullspan.key.response_thread',
    "Thread that moved the response's last byte, in the host's pid namespace.",
  ],
  keyCoroutine: [
    'fullspan.key.coroutine',
    "Coroutine that moved the request's first byte (Go: the goroutine's id), where the runtime tells it; 0 is none.",
  ],
  keyProcess: [
    'fullspan.key.process',
    "The process on its host: boot id, pid in the host's namespace, start time.",
  ],
  keyEventLoop: [
    'fullspan.key.thread_interleaved',
    'true: the thread touched other connections between the request and the response of this span (of a server span: others on which it serves).',
  ],

  hint: [
    'fullspan.hint',
    'Scope: its spans are hints of a runtime, by this name. `span_association` reads them and sends them no further.',
  ],
  hintCall: [
    'fullspan.hint.call',
    'The socket of a call: boot id, network namespace, address and port of the client, of the server, joined by `|`.',
  ],
  hintCallTime: ['fullspan.hint.call_time', 'When the call was open, Unix ns as text.'],
  hintRequest: [
    'fullspan.hint.request',
    'The socket of the request for which the call was made, in the same form; empty: for none.',
  ],
  hintRequestTime: ['fullspan.hint.request_time', 'When that request was open, Unix ns as text.'],

  netns: ['fullspan.network.namespace', 'inode of the network namespace.'],
  interfaceIndex: ['fullspan.network.interface.index', 'ifindex of the interface.'],
  interfaceKind: [
    'fullspan.network.interface.kind',
    "The interface's kind: `veth`, `bridge`, `loopback`, …; `` for a physical one.",
  ],
  retransmissions: [
    'fullspan.network.retransmissions',
    'How many packets of the exchange were seen again at this interface.',
  ],
  zeroWindows: [
    'fullspan.network.zero_windows',
    'How often an end said that it has no room (a window of zero) during the exchange.',
  ],
  resets: [
    'fullspan.network.resets',
    'Resets that the kernel sent or received on the connection during the exchange.',
  ],
  drops: [
    'fullspan.network.drops',
    'Packets of the exchange that the kernel of this machine dropped; each is an event with reason and place.',
  ],
  dropReason: [
    'fullspan.network.drop.reason',
    'Event: why a packet was dropped, by the names of the kernel (enum skb_drop_reason): `NETFILTER_DROP`, ….',
  ],
  dropFunction: ['fullspan.network.drop.function', 'Event: kernel function that dropped the packet.'],
  tcpSeq: ['fullspan.network.tcp.seq', 'Event: TCP sequence number of the first byte that it is about.'],
  tcpLength: ['fullspan.network.tcp.length', 'Event: how many bytes it is about.'],
  connectDuration: [
    'fullspan.network.connect.duration',
    "ns from the connect to its success; on the connection's first exchange.",
  ],
  rtt: [
    'fullspan.network.rtt',
    "The connection's smoothed round-trip time, µs, by the kernel's measure of this end.",
  ],
  tunnelType: [
    'fullspan.network.tunnel.type',
    'NET: `vxlan`, `geneve`, `gre`, `ipip` or `erspan`, where the packets went inside others through the interface.',
  ],
  tunnelId: ['fullspan.network.tunnel.id', "NET: the tunnel's VNI, key or session."],
  tunnelClientAddress: [
    'fullspan.network.tunnel.client.address',
    "NET: address of the tunnel's end on the client's side.",
  ],
  tunnelServerAddress: [
    'fullspan.network.tunnel.server.address',
    "NET: address of the tunnel's end on the server's side.",
  ],
  originalDestination: [
    'fullspan.network.original_destination',
    'NET: where the client meant to go, address and port, when a rule of this namespace sent it to a proxy here (a sidecar).',
  ],
  interfacePlace: [
    'fullspan.network.interface.place',
    'What the interface is part of: `physical`, `loopback`, `veth`, `bridge`, `bridge port`, `tunnel`, `ovs port`, `virtual`.',
  ],
  interfaceMaster: [
    'fullspan.network.interface.master',
    'Name of the bridge or bond that the interface is a port of.',
  ],
  interfacePeer: [
    'fullspan.network.interface.peer',
    'Name of the other end of a veth pair, with the namespace that it is in: `eth0 in 4026532301`.',
  ],
  capturePoint: [
    'fullspan.network.namespace.owner',
    "NET: the program, container or pod that the interface's namespace belongs to, where it is one: `redis-server`, `container 4f…`, `pod 1b…`.",
  ],
  interfaceName: ['network.interface.name', 'Name of the interface in its namespace.'],
  ioDirection: [
    'network.io.direction',
    'Which way the request went through the interface: `receive` or `transmit`.',
  ],
  requestSize: ['fullspan.request.size', 'Bytes of the request, in the application protocol.'],
  responseSize: ['fullspan.response.size', 'Bytes of the response, in the application protocol.'],

  serviceName: [
    'service.name',
    'Resource: SYS: of the bound APP, else OTEL_SERVICE_NAME, unit or executable; NET: of the endpoint whose namespace owns the interface, else the host.',
  ],
  hostName: ['host.name', 'Resource: name of the machine.'],
  hostId: ['host.id', 'Resource: /etc/machine-id.'],
  processPid: ['process.pid', "Resource: pid in the host's namespace."],
  processVirtualPid: [
    'process.vpid',
    "Resource: pid in the process's own pid namespace, where that is another (a container).",
  ],
  processExecutableName: ['process.executable.name', 'Resource: name of the executable.'],
  processExecutablePath: ['process.executable.path', 'Resource: path of the executable.'],
  processCreationTime: ['process.creation.time', 'Resource: when the process started, ISO 8601.'],
  processCommandLine: [
    'process.command_line',
    'Resource: arguments joined by spaces, at most 512 bytes, without what looks like a password or a token.',
  ],
  podUid: ['k8s.pod.uid', 'Resource: from the cgroup.'],
  containerId: ['container.id', 'Resource: from the cgroup.'],
  threadId: ['thread.id', 'Thread that started the exchange.'],

  clientAddress: ['client.address', 'Address of the client end as seen at this point.'],
  clientPort: ['client.port', 'Port of the client end as seen at this point.'],
  serverAddress: ['server.address', 'Address of the server end as seen at this point.'],
  serverPort: ['server.port', 'Port of the server end as seen at this point.'],
  networkPeerAddress: ['network.peer.address', 'SYS: the other end of the socket.'],
  networkPeerPort: ['network.peer.port', 'SYS: the port of the other end of the socket.'],
  networkTransport: ['network.transport', '`tcp`, `udp` or `unix`.'],
  networkProtocolName: ['network.protocol.name', 'Application protocol: `http`, `dns`, `mysql`, `redis`, ….'],
  networkProtocolVersion: ['network.protocol.version', 'Version of the application protocol.'],
  httpRequestMethod: ['http.request.method', 'HTTP method; `_OTHER` for one that is not known.'],
  httpRequestMethodOriginal: [
    'http.request.method_original',
    'The method as sent, where it is not a known one.',
  ],
  httpRequestHost: ['http.request.header.host', 'Host header.'],
  httpResponseStatusCode: ['http.response.status_code', 'HTTP status.'],
  urlPath: ['url.path', 'Path of the request.'],
  urlQuery: ['url.query', 'Query of the request, values redacted.'],
  urlScheme: ['url.scheme', '`http` or `https`.'],
  userAgent: ['user_agent.original', 'User-Agent header.'],
  messagingOperationType: [
    'messaging.operation.type',
    'Which way messages went: `send` to the broker, `receive` from it by a request of the consumer, `process` when the broker pushed them.',
  ],
  tls: [
    'fullspan.tls',
    'How an encrypted exchange was seen: `plaintext`, within the TLS library; `records`, only its encrypted records.',
  ],
  tlsProtocolName: ['tls.protocol.name', '`tls`.'],
  tlsProtocolVersion: ['tls.protocol.version', '`1.3`, `1.2`, …, where the handshake was seen.'],
  tlsCipher: ['tls.cipher', "Cipher suite by IANA's name, or its number in hex."],
  tlsServerName: ['tls.client.server_name', 'Host name that the client asked for (SNI).'],
  tlsNextProtocol: ['tls.next_protocol', 'Application protocol agreed on (ALPN), where it is in the clear.'],
  errorType: ['error.type', 'Status code or class of the error; absent when it went well.'],
  dbSystemName: ['db.system.name', '`mysql`, `mariadb` or `redis`.'],
  dbOperationName: ['db.operation.name', 'Command or SQL verb.'],
  dbQueryText: ['db.query.text', 'Statement with its literals replaced by `?`.'],
  dbQuerySummary: ['db.query.summary', 'Verb and target of the statement.'],
  dbNamespace: ['db.namespace', 'Database in use.'],
  dbCollectionName: ['db.collection.name', 'Table of the statement.'],
  dbResponseStatusCode: ['db.response.status_code', 'Error code of the server.'],
  dnsQuestionName: ['dns.question.name', 'Name that was asked for.'],
  dnsQuestionType: ['dns.question.type', 'Record type that was asked for: `A`, `AAAA`, `SRV`, ….'],
  dnsAnswers: ['dns.answers', 'Answers, as text.'],
} as const satisfies Record<string, readonly [name: string, description: string]>

type Table = typeof attributeNames

/** The names alone: `names.layer` is `fullspan.span.layer`. */
export const names = Object.fromEntries(
  Object.entries(attributeNames).map(([key, [name]]) => [key, name]),
) as {
  readonly [Key in keyof Table]: Table[Key][0]
}
