// Supabase runs the bundle of this file, dist/index.mjs (npm run build). The default export with a fetch method is
// one of the two entry forms of the edge runtime, and what `deno serve` takes as well.
import { handler } from "../../../src/main.ts"

export default { fetch: handler }
