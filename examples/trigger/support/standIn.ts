// The stand-in with this example's tasks, in its own process, which a test can kill. Its runs are in TRIGGER_JOURNAL.
import { startTrigger } from "../../../local/trigger/server.ts"
import { loadWorker } from "./worker.ts"

const { TRIGGER_JOURNAL: journal = "", TRIGGER_PORT: port = "0", TRIGGER_SECRET_KEY: secretKey = "" } = process.env
const { url } = await startTrigger({ secretKey, journal, port: Number(port), worker: await loadWorker() })
process.stdout.write(`listening at ${url}\n`)
