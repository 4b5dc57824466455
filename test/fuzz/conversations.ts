import type { Random } from "../../chaos/random.ts"
import type { Maker } from "./alone.ts"
import { badlyFramed, wellFramed } from "./framings.ts"
import type { Input, World } from "./Input.ts"
import { odd } from "./oddities.ts"

const pickFrom = (random: Random, world: World, makers: Readonly<Record<string, Maker>>): Input =>
  random.pick(Object.values(makers))(random, world)

/** Anything that a well-behaved HTTP client cannot or would not send. */
export const anyConversation = (random: Random, world: World): Input =>
  pickFrom(
    random,
    world,
    { wellFramed, badlyFramed, odd }[random.weighted({ wellFramed: 45, badlyFramed: 25, odd: 30 })]
  )
