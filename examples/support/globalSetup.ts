import { buildFunctions } from "../../build.ts"

/** The stack serves the product's own functions, whatever else it serves. */
export default async (): Promise<void> => void (await buildFunctions())
