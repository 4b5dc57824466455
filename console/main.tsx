import { render } from "preact"
import { listen } from "./model/keyboard.ts"
import { start } from "./model/live.ts"
import { Shell } from "./view/Shell.tsx"

start()
listen()
render(<Shell />, document.body)
