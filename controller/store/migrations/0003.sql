-- What people and programs show to be let in. The secret itself is never here, only its sha256.
create table tokens (
  id text primary key,
  name text not null,
  hash text not null,
  role text not null check (role in ('viewer', 'deployer', 'approver', 'admin')),
  -- JSON lists; null is all of them.
  services text,
  environments text,
  created text not null,
  expires text,
  last_used text,
  revoked text,
  -- The name of whoever gave it.
  by text not null
) strict;
-- A name is free again once its token is revoked: what was done under it before stays told by the audit log.
create unique index tokens_by_name on tokens (name) where revoked is null;

-- Every change, each row bound to the one before it by its hash. The head is kept in meta too, so that a lost end is missed.
create table audit (
  seq integer primary key,
  at text not null,
  who text not null,
  "from" text not null,
  what text not null,
  outcome text not null check (outcome in ('asked', 'done', 'failed', 'refused')),
  details text not null,
  previous text not null,
  hash text not null
) strict;
create index audit_by_who on audit (who, seq);
