-- Profiles that were tried from nothing on borrowed machines.
create table rehearsals (
  id integer primary key autoincrement,
  profile text not null,
  host text not null,
  by text not null,
  started_at text not null,
  ended_at text,
  succeeded integer check (succeeded in (0, 1)),
  -- JSON, once it has ended.
  report text
) strict;
create index rehearsals_by_profile on rehearsals (profile, id);
