import { createHash } from 'node:crypto'
import { type AttributeValue, defineProcessor, mapSpans } from 'fullspan'

/** Puts a short hash in the place of what must not leave the house. Equal values stay equal, so traces can still be found by them. */
export default defineProcessor({
  type: 'mask_attributes',
  description: 'Replaces the values of some span attributes by a hash.',
  stability: 'alpha',
  signals: ['traces'],
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['keys'],
    properties: {
      keys: {
        type: 'array',
        items: { type: 'string' },
        minItems: 1,
        description: 'Attributes whose values are replaced, such as `enduser.id`.',
      },
      salt: {
        type: 'string',
        default: '',
        secret: true,
        description: 'Makes the hashes differ from those that others would get.',
      },
    },
  },
  create({ keys, salt }) {
    const maskOf = (value: AttributeValue): string =>
      createHash('sha256').update(salt).update(String(value)).digest('hex').slice(0, 16)
    return mapSpans(span => {
      const masked: Record<string, string> = {}
      for (const key of keys) {
        const value = span.attribute(key)
        if (value !== undefined) masked[key] = maskOf(value)
      }
      return Object.keys(masked).length === 0 ? span : span.with({ attributes: masked })
    })
  },
})
