-- Hosts that people have taken out: deployments pass them by, and no balancer shows them, until they are let in again.
create table out_hosts (
  host text primary key,
  by text not null,
  why text not null,
  since text not null
) strict;

-- When the agent first said hello from this boot, as this program: what failed on a host before may go well after it.
alter table hosts add column since text not null default '';
update hosts set since = first_seen;
-- When somebody last let it in again.
alter table hosts add column let_in text;

-- Hosts of the environment that a deployment did not go to, and why: taken out, not connected, or not asked for.
create table passed_by (
  deployment integer not null references deployments (id),
  host text not null,
  reason text not null check (reason in ('out', 'away', 'not_asked')),
  primary key (deployment, host)
) strict;

-- Deployments that say nothing of what their environment is on: of one host that catches up, or of one that a rehearsal has borrowed.
alter table deployments add column apart text check (apart in ('catching_up', 'rehearsal'));
