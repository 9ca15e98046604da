-- One row a key: the fleet's own id, and the epoch that every start of a controller raises.
create table meta (key text primary key, value text not null) strict;

create table hosts (
  host text primary key,
  instance text not null,
  labels text not null,
  platform text not null,
  agent text not null,
  boot_id text not null,
  free_disk real not null,
  services text not null,
  first_seen text not null,
  last_seen text not null
) strict;

create table artifacts (
  service text not null,
  version text not null,
  identity text not null,
  source_key text not null,
  ref text not null,
  commit_id text,
  platform text not null,
  size integer not null,
  artifact_path text not null,
  manifest_path text not null,
  notes text not null,
  built_at text not null,
  primary key (service, version)
) strict;
create index artifacts_by_source on artifacts (service, source_key);

create table builds (
  id integer primary key autoincrement,
  service text not null,
  ref text not null,
  state text not null check (state in ('running', 'succeeded', 'failed')),
  version text,
  built integer,
  error text,
  started_at text not null,
  ended_at text
) strict;

create table deployments (
  id integer primary key autoincrement,
  kind text not null check (kind in ('deploy', 'rollback')),
  service text not null,
  environment text not null,
  version text,
  state text not null check (state in ('resolving', 'running', 'paused', 'aborting', 'succeeded', 'failed', 'restored', 'refused', 'aborted')),
  by text not null,
  why text,
  -- What was asked for, as it was asked.
  request text not null,
  digest text,
  -- Strategy, balancer and the like as they were when the plan was made: a resumed deployment keeps to them.
  settings text,
  failure text,
  exit integer,
  started_at text not null,
  ended_at text
) strict;
create index deployments_by_service on deployments (service, environment, id);

-- What a host was before, what the deployment meant to give it, and what its agent said at the end.
create table deployment_hosts (
  deployment integer not null references deployments (id),
  host text not null,
  position integer not null,
  facts text not null,
  report text,
  primary key (deployment, host)
) strict;

create table steps (
  deployment integer not null references deployments (id),
  step integer not null,
  phase integer not null,
  phase_name text not null,
  parallel integer not null,
  host text not null,
  kind text not null,
  rescue integer not null,
  args text not null,
  says text not null,
  state text not null check (state in ('pending', 'running', 'done')),
  outcome text,
  -- What the step has to remember across a crash, written before it acts.
  memo text,
  message text,
  error text,
  started_at text,
  ended_at text,
  ms real,
  primary key (deployment, step)
) strict;

create table events (
  id integer primary key autoincrement,
  topic text not null,
  at text not null,
  event text not null
) strict;
create index events_by_topic on events (topic, id);

-- One row each time a version was verified on a host: where a rollback can go.
create table rollback_points (
  id integer primary key autoincrement,
  deployment integer not null references deployments (id),
  service text not null,
  environment text not null,
  host text not null,
  version text not null,
  identity text not null,
  variables text not null,
  at text not null,
  -- Set when people went back from this version: it is never offered again by itself.
  left_by integer references deployments (id)
) strict;
create index rollback_points_by_host on rollback_points (service, environment, host, id);

create table locks (
  service text not null,
  environment text not null,
  deployment integer not null references deployments (id),
  owner text not null,
  since text not null,
  primary key (service, environment)
) strict;

-- Hosts that fleet took out of a balancer and has not shown again, with the reason.
create table hidden (
  service text not null,
  environment text not null,
  host text not null,
  deployment integer not null references deployments (id),
  reason text not null,
  since text not null,
  primary key (service, environment, host)
) strict;
