import type { Random } from "../../chaos/random.ts"
import type { Expected, Input, Piece, World } from "./Input.ts"
import { harmless } from "./payloads.ts"
import { HOST, JSON_TYPE } from "./requests.ts"
import { type Headers, signed } from "./signatures.ts"

/** Makes a conversation that has a connection of its own. */
export type Maker = (random: Random, world: World) => Input

/** The HTTP server's own answer, to what never comes to the function. */
export const SERVER = ["server", "closed"]
export const CHANGELESS = ["200 no_change"]

export const post = (words: ReadonlyArray<string>): Expected => ({ words, method: "POST" })

/** A delivery that changes nothing, but for how long its body is. */
export const delivery = (random: Random, world: World) => {
  const body = Buffer.from(harmless(random, world).text)
  return { body, headers: [HOST, JSON_TYPE, ...signed(world.secret, body, random.uuid())] satisfies Headers }
}

export const alone = (kind: string, pieces: ReadonlyArray<Piece>, ...replies: ReadonlyArray<Expected>): Input => ({
  kind,
  pieces,
  replies,
  alone: true
})
