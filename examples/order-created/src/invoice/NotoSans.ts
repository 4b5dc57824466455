// In a bundle, the finished font replaces this module: see build/edge.ts.
import { notoSans } from "../../build/notoSans.ts"
import type { FontFiles } from "./InvoicePdf.ts"

/** Noto Sans in two weights, and the characters that both have. */
export const load = (): Promise<FontFiles> => notoSans()
