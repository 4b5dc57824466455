// `npm start`. Checks Node's version before it loads the rest, which older versions cannot parse.
const WANTED_NODE = 24

const isMissingPackage = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND" && !cause.message.includes(".ts'")

const load = async () => {
  if (Number.parseInt(process.versions.node, 10) < WANTED_NODE) {
    console.error(
      `This needs Node ${WANTED_NODE}, but runs on ${process.versions.node}. Run npm ci and then npm start.`
    )
    return undefined
  }
  try {
    return await import("./demo/run.ts")
  } catch (cause) {
    if (!isMissingPackage(cause)) throw cause
    console.error(`${cause instanceof Error ? cause.message : cause}\nRun npm ci first.`)
    return undefined
  }
}

const program = await load()
process.exitCode = program === undefined ? 1 : await program.run(process.argv.slice(2))
