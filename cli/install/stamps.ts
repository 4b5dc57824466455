import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

const TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_/

const secondOf = (file: string): Option.Option<number> => {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (TIME.exec(file) ?? []).slice(1).map(Number)
  if (year === 0) return Option.none()
  return Option.map(DateTime.make({ year, month, day, hour, minute, second }), (time) =>
    Math.floor(DateTime.toEpochMillis(time) / 1000)
  )
}

const stampOf = (second: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(second * 1000))
    .replaceAll(/\D/g, "")
    .slice(0, 14)

/**
 * Times for new migrations, in order. They are later than all existing ones, because the Supabase CLI refuses to push a
 * migration that sorts before an existing one. They end now, so that the project's next migration comes after them.
 */
export const stampsAfter = (files: ReadonlyArray<string>, count: number, nowMillis: number): ReadonlyArray<string> => {
  const latest = files.map(secondOf).flatMap(Option.toArray)
  const first = Math.max(Math.floor(nowMillis / 1000) - count + 1, ...latest.map((second) => second + 1))
  return Array.from({ length: count }, (_, index) => stampOf(first + index))
}

/** Files that sort after every time of this century, such as `9999_last.sql`. Nothing can come after them. */
export const afterAllTimes = (files: ReadonlyArray<string>): ReadonlyArray<string> =>
  files.filter((file) => file > "21" && !TIME.test(file))
