import tseslint from 'typescript-eslint'
import rxjsX from 'eslint-plugin-rxjs-x'

/** What a room of the house may not import (design §3: imports point one way). Paths are relative, so a pattern names folders. */
const above = {
  model: [
    'formats',
    'core',
    'protocols',
    'flow',
    'store',
    'receivers',
    'processors',
    'exporters',
    'extensions',
    'cli',
  ],
  formats: [
    'core',
    'protocols',
    'flow',
    'store',
    'receivers',
    'processors',
    'exporters',
    'extensions',
    'cli',
  ],
  core: ['protocols', 'flow', 'store', 'receivers', 'processors', 'exporters', 'extensions', 'cli'],
  protocols: ['flow', 'store', 'receivers', 'processors', 'exporters', 'extensions', 'cli'],
  flow: ['store', 'receivers', 'processors', 'exporters', 'extensions', 'cli'],
  receivers: ['processors', 'exporters', 'extensions', 'cli'],
  processors: ['flow', 'receivers', 'exporters', 'extensions', 'cli'],
  exporters: ['flow', 'receivers', 'processors', 'extensions', 'cli'],
}
const boundary = ([room, forbidden]) => ({
  files: [`${room}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./)+(${[...forbidden, 'test', 'bench', 'components\\.ts'].join('|')})(/|$)`,
            message: `${room}/ may import only what stands left of it: model, formats, core, protocols, flow, component, cli.`,
          },
        ],
      },
    ],
  },
})
/** A component never imports another component. */
const siblings = (room, depth) => ({
  files: [`${room}/${'*/'.repeat(depth)}${depth > 1 ? '**/' : ''}*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./){${depth}}[a-z0-9_]+/|^(\\.\\./)+(${[...above[room], room, 'test', 'bench', 'components\\.ts'].join('|')})(/|$)`,
            message: `A component imports model, formats, core, protocols, flow (receivers only) and its own folder.`,
          },
        ],
      },
    ],
  },
})

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'node_modules/**',
      'test/golden/**',
      'examples/**',
      '**/*.js',
      '**/*.cjs',
      '**/*.mjs',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  rxjsX.configs.strict,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/unbound-method': 'off', // closures, not classes: methods read no `this`
      '@typescript-eslint/no-non-null-assertion': 'off', // typed-array and index access in hot loops
      'max-lines': ['warn', { max: 300, skipComments: true, skipBlankLines: true }],
      'max-lines-per-function': ['warn', { max: 60, skipComments: true, skipBlankLines: true }],
    },
  },
  ...['model', 'formats', 'core', 'protocols', 'flow'].map(room => boundary([room, above[room]])),
  ...['receivers', 'processors', 'exporters'].flatMap(room => [siblings(room, 1), siblings(room, 2)]),
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-floating-promises': 'off', // tap's t.test is awaited by tap itself
    },
  },
)
