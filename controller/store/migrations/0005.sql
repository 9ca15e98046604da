-- Hosts that may join. The token itself is not here, only its sha256.
create table join_tokens (
  id text primary key,
  hash text not null,
  labels text not null,
  -- Null where the host says its own name.
  host text,
  -- A person has to let in who comes with it.
  approve integer not null,
  uses integer not null,
  used integer not null,
  by text not null,
  made_at text not null,
  expires_at text not null,
  revoked_at text
) strict;

-- Agents by their keys. A host name is a label: it may come again with another key, and then it is another host.
create table identities (
  key text primary key,
  -- SPKI as base64.
  public_key text not null,
  host text not null,
  labels text not null,
  token text not null references join_tokens (id),
  state text not null check (state in ('waiting', 'active', 'revoked', 'forgotten')),
  joined_at text not null,
  -- Of its newest certificate; null while there is none.
  expires_at text,
  ended_at text,
  ended_by text
) strict;
create unique index identities_by_host on identities (host) where state in ('waiting', 'active');
