import type { Schemas } from './field.ts'

/** opentelemetry.proto.common.v1 and opentelemetry.proto.resource.v1 */
export const commonSchemas = {
  AnyValue: {
    oneofs: {
      value: {
        oneof: [
          'stringValue',
          'boolValue',
          'intValue',
          'doubleValue',
          'arrayValue',
          'kvlistValue',
          'bytesValue',
          'stringValueStrindex',
        ],
      },
    },
    fields: {
      stringValue: { id: 1, type: 'string' },
      boolValue: { id: 2, type: 'bool' },
      intValue: { id: 3, type: 'int64' },
      doubleValue: { id: 4, type: 'double' },
      arrayValue: { id: 5, type: 'ArrayValue' },
      kvlistValue: { id: 6, type: 'KeyValueList' },
      bytesValue: { id: 7, type: 'bytes' },
      stringValueStrindex: { id: 8, type: 'int32' },
    },
  },
  ArrayValue: { fields: { values: { id: 1, type: 'AnyValue', rule: 'repeated' } } },
  KeyValueList: { fields: { values: { id: 1, type: 'KeyValue', rule: 'repeated' } } },
  KeyValue: {
    fields: {
      key: { id: 1, type: 'string' },
      value: { id: 2, type: 'AnyValue' },
      keyStrindex: { id: 3, type: 'int32' },
    },
  },
  InstrumentationScope: {
    fields: {
      name: { id: 1, type: 'string' },
      version: { id: 2, type: 'string' },
      attributes: { id: 3, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 4, type: 'uint32' },
    },
  },
  EntityRef: {
    fields: {
      schemaUrl: { id: 1, type: 'string' },
      type: { id: 2, type: 'string' },
      idKeys: { id: 3, type: 'string', rule: 'repeated' },
      descriptionKeys: { id: 4, type: 'string', rule: 'repeated' },
    },
  },
  Resource: {
    fields: {
      attributes: { id: 1, type: 'KeyValue', rule: 'repeated' },
      droppedAttributesCount: { id: 2, type: 'uint32' },
      entityRefs: { id: 3, type: 'EntityRef', rule: 'repeated' },
    },
  },
} satisfies Schemas
