import type pg from "pg"
import { StackError } from "../StackError.ts"

export interface Mentor {
  readonly id: string
  readonly name: string
}

export type Mentors = readonly [Mentor, Mentor, Mentor]

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

const FIND = "select id, full_name as name from public.peer_mentor_profiles order by full_name"

/** Three active mentors and three coordinators; each mentor has two of them. */
export const seed = async (client: pg.Client): Promise<Mentors> =>
  threeOf((await client.query<Mentor>(SEED)).rows, "three mentors were expected")

/** The mentors that another process created. Throws StackError. */
export const findMentors = async (client: pg.Client): Promise<Mentors> =>
  threeOf((await client.query<Mentor>(FIND)).rows, "That stack has no mentors yet. Start one with npm start.")

const threeOf = ([first, second, third]: ReadonlyArray<Mentor>, otherwise: string): Mentors => {
  if (first === undefined || second === undefined || third === undefined) throw new StackError(otherwise)
  return [first, second, third]
}
