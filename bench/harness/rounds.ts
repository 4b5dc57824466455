/**
 * Runs each way once per round, and begins each round with another one: what the machine does meanwhile, and what a way
 * leaves behind for its successor, falls on all of them alike.
 */
export const interleaved = async <Way, Sample>(
  ways: ReadonlyArray<Way>,
  rounds: number,
  run: (way: Way, round: number) => Promise<Sample>
): Promise<ReadonlyMap<Way, ReadonlyArray<Sample>>> => {
  const samples = new Map(ways.map((way) => [way, new Array<Sample>()]))
  for (let round = 0; round < rounds; round++) {
    const first = round % ways.length
    for (const way of [...ways.slice(first), ...ways.slice(0, first)]) samples.get(way)?.push(await run(way, round))
  }
  return samples
}
