import protobuf from 'protobufjs/light.js'

/**
 * The messages of SkyWalking's protocol v3 that carry segments (package skywalking.v3, language-agent/Tracing.proto and
 * common/Common.proto; names and numbers are the interface), in protobufjs's JSON form.
 */
const schemas = {
  KeyStringValuePair: { fields: { key: string(1), value: string(2) } },
  Log: { fields: { time: { id: 1, type: 'int64' }, data: repeated(2, 'KeyStringValuePair') } },
  SegmentReference: {
    fields: {
      refType: { id: 1, type: 'int32' },
      traceId: string(2),
      parentTraceSegmentId: string(3),
      parentSpanId: { id: 4, type: 'int32' },
      parentService: string(5),
      parentServiceInstance: string(6),
      parentEndpoint: string(7),
      networkAddressUsedAtPeer: string(8),
    },
  },
  SpanObject: {
    fields: {
      spanId: { id: 1, type: 'int32' },
      parentSpanId: { id: 2, type: 'int32' },
      startTime: { id: 3, type: 'int64' },
      endTime: { id: 4, type: 'int64' },
      refs: repeated(5, 'SegmentReference'),
      operationName: string(6),
      peer: string(7),
      spanType: { id: 8, type: 'int32' },
      spanLayer: { id: 9, type: 'int32' },
      componentId: { id: 10, type: 'int32' },
      isError: { id: 11, type: 'bool' },
      tags: repeated(12, 'KeyStringValuePair'),
      logs: repeated(13, 'Log'),
      skipAnalysis: { id: 14, type: 'bool' },
    },
  },
  SegmentObject: {
    fields: {
      traceId: string(1),
      traceSegmentId: string(2),
      spans: repeated(3, 'SpanObject'),
      service: string(4),
      serviceInstance: string(5),
      isSizeLimited: { id: 6, type: 'bool' },
    },
  },
  SegmentCollection: { fields: { segments: { id: 1, type: 'bytes', rule: 'repeated' } } },
}

// SegmentCollection.segments are SegmentObjects; read as bytes, so that a broken one spoils no other.

function string(id: number) {
  return { id, type: 'string' }
}

function repeated(id: number, type: string) {
  return { id, type, rule: 'repeated' }
}

const root = protobuf.Root.fromJSON({ nested: schemas })

export const SegmentObject = root.lookupType('SegmentObject')
export const SegmentCollection = root.lookupType('SegmentCollection')
