import t from 'tap'
import { attributeNames } from '../../model/attribute-names.ts'
import { components } from '../../components.ts'
import { staleDocs, generatedPages } from '../../cli/docs.ts'
import { errorCodes } from '../../cli/docs/errors.ts'
import { componentMetrics } from '../../cli/docs/metrics.ts'
import { optionsOf } from '../../cli/docs/option-table.ts'
import { sources } from '../../cli/docs/sources.ts'
import { fullSchema } from '../../core/config/core-keys.ts'

t.test('the reference is what the code says, and lists every error code, both ways', t => {
  t.strictSame(staleDocs(), [])
  t.ok(errorCodes().size > 20)
  for (const code of errorCodes().keys()) t.match(code, /^[A-Z][A-Z0-9_]+$/)
  t.end()
})

t.test('every setting of every component has a description', t => {
  for (const definition of components) {
    for (const { path, schema } of optionsOf(fullSchema(definition))) {
      t.ok(schema.description, `${definition.kind} ${definition.type}: ${path}`)
    }
  }
  t.end()
})

t.test('no default stands in an alternative: ajv would not fill it in', t => {
  for (const definition of components) {
    t.notMatch(JSON.stringify(definition.schema), /"(anyOf|oneOf)"/, definition.type)
  }
  t.end()
})

t.test('every attribute and every metric that a component makes is listed', t => {
  const pages = generatedPages()
  for (const [name] of Object.values(attributeNames)) t.match(pages.get('attributes.md'), `\`${name}\``)
  const calls = [...sources()]
    .filter(([path]) => /^(receivers|processors|exporters|extensions)\//.test(path))
    .flatMap(
      ([, text]) => text.match(/\bcreate(Observable)?(Counter|UpDownCounter|Gauge|Histogram)\(/g) ?? [],
    )
  t.equal(componentMetrics().length, calls.length, 'each has a name and a description that can be read')
  t.end()
})
