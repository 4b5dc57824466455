import { makeRandom } from "../../chaos/random.ts"
import { anyConversation } from "./conversations.ts"
import type { Input, World } from "./Input.ts"
import { anyQuestion } from "./management.ts"
import { anyExchange, type Exchange, genuineInput } from "./requests.ts"

const said = ({ bytes, expected, kind }: Exchange): Input => ({
  kind,
  pieces: [bytes],
  replies: [expected],
  alone: false
})

/** The input that a seed has at an index, whatever came before it. */
export const inputAt = (seed: number, index: number, world: World): Input => {
  const random = makeRandom(`fuzz ${seed}/${index}`)
  switch (random.weighted({ request: 81, question: 9, conversation: 9.2, genuine: 0.8 })) {
    case "request":
      return said(anyExchange(random, world))
    case "question":
      return said(anyQuestion(random, world))
    case "conversation":
      return anyConversation(random, world)
    case "genuine":
      return genuineInput(random, world)
  }
}
