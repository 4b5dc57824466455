import type pg from "pg"

export interface Mentor {
  readonly id: string
  readonly name: string
}

const SEED = `
  with coordinator as (
    insert into public.coordinators (name, email)
    select 'Coordinator ' || letter, 'coordinator-' || lower(letter) || '@example.com'
    from unnest('{A,B,C}'::text[]) as letter
    returning id, name
  ),
  mentor as (
    insert into public.peer_mentor_profiles (full_name)
    select 'Mentor ' || number from generate_series(1, 3) as number
    returning id, full_name
  ),
  pair as (
    insert into public.mentor_coordinators (mentor_id, coordinator_id)
    select mentor.id, coordinator.id
    from (values ('Mentor 1', '{A,B}'::text[]), ('Mentor 2', '{B,C}'), ('Mentor 3', '{A,C}')) as told (mentor, letters)
    join mentor on mentor.full_name = told.mentor
    join coordinator on right(coordinator.name, 1) = any (told.letters)
  )
  select id, full_name as name from mentor order by full_name`

/** Three active mentors and three coordinators; each mentor has two of them. */
export const seed = async (client: pg.Client): Promise<readonly [Mentor, Mentor, Mentor]> => {
  const { rows } = await client.query<Mentor>(SEED)
  const [first, second, third] = rows
  if (first === undefined || second === undefined || third === undefined) throw new Error("three mentors were expected")
  return [first, second, third]
}
