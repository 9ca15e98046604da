-- Hooks that may not run twice and were interrupted: each waits for a person, and is kept with what was decided.
create table interruptions (
  deployment integer not null,
  step integer not null,
  hook text not null,
  -- Which run of it was interrupted, from 1: one that is run again can be interrupted again.
  run integer not null,
  version text not null,
  since text not null,
  take text check (take in ('again', 'done')),
  by text,
  why text,
  at text,
  primary key (deployment, step, hook, run),
  foreign key (deployment, step) references steps (deployment, step)
) strict;
