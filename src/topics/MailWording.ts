import type { Direction } from "../schema/Transition.ts"

/**
 * Everything that a mail to a coordinator says, in one language. Translate this file, or provide your own MailTemplate.
 *
 * **Shape** `language` is the tag of the language, for `lang` and for dates. Texts are plain: the template escapes them.
 */
export const wording = {
  language: "en",
  unnamedMentor: "A mentor",
  greeting: (coordinator: string | undefined) => (coordinator === undefined ? "Hello," : `Hello ${coordinator},`),
  since: "Since",
  toDo: "What to do",
  about: {
    PAUSE: {
      title: (mentor: string) => `${mentor} is paused`,
      what: (mentor: string) => `${mentor} takes no sessions for now.`,
      toDo: "Do not schedule new sessions, and move those that are planned. You get a mail when the mentor is back."
    },
    RESUME: {
      title: (mentor: string) => `${mentor} is back`,
      what: (mentor: string) => `${mentor} takes sessions again.`,
      toDo: "You can schedule sessions again."
    }
  } satisfies { readonly [Transition in Direction]: unknown },
  reason: "You get this mail because you coordinate this mentor."
}
