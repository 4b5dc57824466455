import { render } from "preact"
import { start } from "./model/live.ts"
import { Shell } from "./view/Shell.tsx"

start()
render(<Shell />, document.body)
