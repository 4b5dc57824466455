import * as Layer from "effect/Layer"
import { HttpLimits } from "pause-status-webhook-handler/http"
import { fromEnvironment, Logging, ProjectKey } from "pause-status-webhook-handler/supabase"
import { Seller } from "./GeneratePdf.ts"
import * as InvoicePrinterPdfkit from "./InvoicePrinterPdfkit.ts"
import * as InvoiceStoreSupabase from "./InvoiceStoreSupabase.ts"
import * as OrdersSupabase from "./OrdersSupabase.ts"
import * as Settings from "./Settings.ts"

/** What generate-pdf needs, configured by the environment. */
export const layer = Layer.mergeAll(
  OrdersSupabase.layer,
  InvoiceStoreSupabase.layer,
  InvoicePrinterPdfkit.layer,
  Layer.effect(Seller, Settings.seller),
  ProjectKey.layer,
  HttpLimits.layer
).pipe(Layer.provide(fromEnvironment), Layer.provideMerge(Logging.layer))
