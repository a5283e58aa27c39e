import { register } from 'node:module'

/**
 * Imported for its effect, once: from here on this process loads `.ts` files, 'fullspan' is this instance in every module, and stack
 * traces name lines of the sources. `node --import` takes it too, for the tests of a plugin.
 */
process.setSourceMapsEnabled(true)
register('./module-hooks.js', import.meta.url)
