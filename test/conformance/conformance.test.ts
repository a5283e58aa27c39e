import t from 'tap'
import type { Chapter } from './sentence.ts'
import { serverChapters } from './sentences.ts'
import { openServerWorld } from './server/world.ts'

/** Every check of every sentence, one after another. */
async function runAll<World>(chapters: readonly Chapter<World>[], world: World): Promise<void> {
  for (const { source, sentences } of chapters) {
    for (const { id, level, says, checks } of sentences) {
      await t.test(`${id} (${level}; ${source}): ${says}`, async t => {
        for (const [name, check] of Object.entries(checks)) {
          try {
            await check(world)
            t.pass(name)
          } catch (error) {
            t.fail(name, { found: error instanceof Error ? error.message : String(error) })
          }
        }
      })
    }
  }
}

const world = await openServerWorld()
t.teardown(() => world.close())
await runAll(serverChapters, world)
