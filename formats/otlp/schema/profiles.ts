import type { Schemas } from './field.ts'

/** opentelemetry.proto.profiles.v1development (as of OTLP 1.11) and its request */
export const profileSchemas = {
  ExportProfilesServiceRequest: {
    fields: {
      resourceProfiles: { id: 1, type: 'ResourceProfiles', rule: 'repeated' },
      dictionary: { id: 2, type: 'ProfilesDictionary' },
    },
  },
  ProfilesDictionary: {
    fields: {
      mappingTable: { id: 1, type: 'Mapping', rule: 'repeated' },
      locationTable: { id: 2, type: 'Location', rule: 'repeated' },
      functionTable: { id: 3, type: 'ProfileFunction', rule: 'repeated' },
      linkTable: { id: 4, type: 'ProfileLink', rule: 'repeated' },
      stringTable: { id: 5, type: 'string', rule: 'repeated' },
      attributeTable: { id: 6, type: 'KeyValueAndUnit', rule: 'repeated' },
      stackTable: { id: 7, type: 'Stack', rule: 'repeated' },
    },
  },
  ResourceProfiles: {
    fields: {
      resource: { id: 1, type: 'Resource' },
      scopeProfiles: { id: 2, type: 'ScopeProfiles', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  ScopeProfiles: {
    fields: {
      scope: { id: 1, type: 'InstrumentationScope' },
      profiles: { id: 2, type: 'Profile', rule: 'repeated' },
      schemaUrl: { id: 3, type: 'string' },
    },
  },
  Profile: {
    fields: {
      sampleType: { id: 1, type: 'ValueType' },
      samples: { id: 2, type: 'Sample', rule: 'repeated' },
      timeUnixNano: { id: 3, type: 'fixed64' },
      durationNano: { id: 4, type: 'uint64' },
      periodType: { id: 5, type: 'ValueType' },
      period: { id: 6, type: 'int64' },
      profileId: { id: 7, type: 'bytes' },
      droppedAttributesCount: { id: 8, type: 'uint32' },
      originalPayloadFormat: { id: 9, type: 'string' },
      originalPayload: { id: 10, type: 'bytes' },
      attributeIndices: { id: 11, type: 'int32', rule: 'repeated' },
    },
  },
  ProfileLink: { fields: { traceId: { id: 1, type: 'bytes' }, spanId: { id: 2, type: 'bytes' } } },
  ValueType: { fields: { typeStrindex: { id: 1, type: 'int32' }, unitStrindex: { id: 2, type: 'int32' } } },
  Sample: {
    fields: {
      stackIndex: { id: 1, type: 'int32' },
      attributeIndices: { id: 2, type: 'int32', rule: 'repeated' },
      linkIndex: { id: 3, type: 'int32' },
      values: { id: 4, type: 'int64', rule: 'repeated' },
      timestampsUnixNano: { id: 5, type: 'fixed64', rule: 'repeated' },
    },
  },
  Mapping: {
    fields: {
      memoryStart: { id: 1, type: 'uint64' },
      memoryLimit: { id: 2, type: 'uint64' },
      fileOffset: { id: 3, type: 'uint64' },
      filenameStrindex: { id: 4, type: 'int32' },
      attributeIndices: { id: 5, type: 'int32', rule: 'repeated' },
    },
  },
  Stack: { fields: { locationIndices: { id: 1, type: 'int32', rule: 'repeated' } } },
  Location: {
    fields: {
      mappingIndex: { id: 1, type: 'int32' },
      address: { id: 2, type: 'uint64' },
      lines: { id: 3, type: 'Line', rule: 'repeated' },
      attributeIndices: { id: 4, type: 'int32', rule: 'repeated' },
    },
  },
  Line: {
    fields: {
      functionIndex: { id: 1, type: 'int32' },
      line: { id: 2, type: 'int64' },
      column: { id: 3, type: 'int64' },
    },
  },
  ProfileFunction: {
    fields: {
      nameStrindex: { id: 1, type: 'int32' },
      systemNameStrindex: { id: 2, type: 'int32' },
      filenameStrindex: { id: 3, type: 'int32' },
      startLine: { id: 4, type: 'int64' },
    },
  },
  KeyValueAndUnit: {
    fields: {
      keyStrindex: { id: 1, type: 'int32' },
      value: { id: 2, type: 'AnyValue' },
      unitStrindex: { id: 3, type: 'int32' },
    },
  },
} satisfies Schemas
