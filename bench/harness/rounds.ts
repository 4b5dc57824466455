/**
 * Runs each way once per round, and starts each round with another one. So other work on the machine, and what one way
 * leaves behind for the next, affect all of them alike.
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
