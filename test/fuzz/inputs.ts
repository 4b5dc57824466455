import { makeRandom } from "../../local/chaos/random.ts"
import { anyConversation } from "./conversations.ts"
import type { Input, World } from "./Input.ts"
import { anyExchange, genuineInput } from "./requests.ts"

/** The input that a seed has at an index, whatever came before it. */
export const inputAt = (seed: number, index: number, world: World): Input => {
  const random = makeRandom(`fuzz ${seed}/${index}`)
  switch (random.weighted({ request: 90, conversation: 9.2, genuine: 0.8 })) {
    case "request": {
      const { bytes, expected, kind } = anyExchange(random, world)
      return { kind, pieces: [bytes], replies: [expected], alone: false }
    }
    case "conversation":
      return anyConversation(random, world)
    case "genuine":
      return genuineInput(random, world)
  }
}
