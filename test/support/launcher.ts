// A launcher of its own process, for tests that kill it. It prints what it started as one line of JSON, then waits.
import { bareStack } from "./bareStack.ts"

process.on("SIGINT", () => {})
const stack = await bareStack()
console.log(JSON.stringify({ pids: Object.values(stack.services).map(({ pid }) => pid), apiUrl: stack.apiUrl }))
await new Promise((resolve) => process.stdin.on("end", resolve).resume())
await stack.stop()
