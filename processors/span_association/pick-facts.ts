import { names } from '../../model/attribute-names.ts'
import { PickedAttributes } from '../../model/picked-attributes.ts'
import { fieldNumber, type Span } from '../../model/span.ts'

/** The attributes of a span that association looks at, read in one pass. Good until the next call. */
export function pickFacts({ source, from, to }: Span): PickedAttributes {
  return picked.pick({ bytes: source, at: from, end: to, field: fieldNumber.attributes })
}

/** A key that is missing here is found all the same, but slowly. */
const picked = new PickedAttributes({
  // What another process said of the cause.
  rare: [
    names.keyTraceparent,
    names.keyB3,
    names.keyUberTraceId,
    names.keyDatadog,
    names.keyXray,
    names.keySw8,
    names.keyMessageContexts,
  ],
  usual: [
    names.layer,
    names.observationPoint,
    names.keyRequestSeq,
    names.keyResponseSeq,
    names.keyRequestHash,
    names.keyMessageId,
    names.keyProcess,
    names.keyRequestThread,
    names.keyCoroutine,
    names.keyEventLoop,
    names.messagingOperationType,
    names.errorType,
    names.keyRequestId,
    names.keyResponseRequestId,
    names.incomplete,
    names.clockOffset,
    names.clockUncertainty,
    names.originalParentSpanId,
    names.originalTraceId,
    names.networkPeerAddress,
    names.networkPeerPort,
    names.networkProtocolName,
    names.httpRequestMethod,
    names.httpResponseStatusCode,
    names.urlPath,
    names.dbSystemName,
    names.dbOperationName,
    names.serverPort,
    'sw8.trace_id',
    'sw8.segment_id',
    'sw8.span_id',
    'sw8.parent_span_id',
    'client.address',
    'client.port',
    'net.sock.peer.addr',
    'net.sock.peer.port',
    'net.peer.ip',
    'net.peer.port',
    'http.method',
    'http.status_code',
    'http.target',
    'http.url',
    'url',
    'url.full',
    'db.system',
    'db.type',
    'db.operation',
    'db.query.text',
    'db.statement',
  ],
})
