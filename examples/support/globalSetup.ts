import { buildFunctions } from "../../build.ts"

/** The stack always serves the product's own functions. */
export default async (): Promise<void> => void (await buildFunctions())
