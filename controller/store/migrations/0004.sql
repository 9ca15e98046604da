-- Signatures of releases, as JSON: null for what was built in development. They are signed anew when a key is replaced.
alter table artifacts add column signature text;

-- The oldest release of each service that is still good.
create table floors (
  service text primary key,
  -- A signed floor, as JSON.
  signed text not null,
  why text not null,
  by text not null,
  at text not null
) strict;
