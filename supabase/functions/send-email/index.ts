// Supabase runs the bundle of this file, dist/index.mjs (npm run build).
import { handler } from "../../../src/sendEmail.ts"

export default { fetch: handler }
