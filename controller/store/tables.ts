/** The tables as kysely sees them. Columns named in JSON hold text that is decoded by the file that owns the table. */

import type { Role } from '@fleet/protocol/access.ts';
import type { AuditOutcome } from '@fleet/protocol/api/audit.ts';
import type { DeploymentState } from '@fleet/protocol/api/deployments.ts';
import type { IdentityState } from '@fleet/protocol/api/enrolment.ts';
import type { Take } from '@fleet/protocol/api/interruptions.ts';
import type { PassedBy } from '@fleet/protocol/api/recap.ts';
import type { Generated } from 'kysely';

/** A deployment that says nothing of what its environment is on: see 0006.sql. */
export type Apart = 'catching_up' | 'rehearsal';

export interface Tables {
  meta: { key: string; value: string };
  hosts: {
    host: string;
    instance: string;
    labels: string;
    platform: string;
    agent: string;
    boot_id: string;
    free_disk: number;
    services: string;
    first_seen: string;
    last_seen: string;
    since: string;
    let_in: string | null;
  };
  rehearsals: {
    id: Generated<number>;
    profile: string;
    host: string;
    by: string;
    started_at: string;
    ended_at: string | null;
    succeeded: number | null;
    report: string | null;
  };
  out_hosts: { host: string; by: string; why: string; since: string };
  artifacts: {
    service: string;
    version: string;
    identity: string;
    source_key: string;
    ref: string;
    commit_id: string | null;
    platform: string;
    size: number;
    artifact_path: string;
    manifest_path: string;
    notes: string;
    built_at: string;
    signature: string | null;
  };
  floors: { service: string; signed: string; why: string; by: string; at: string };
  builds: {
    id: Generated<number>;
    service: string;
    ref: string;
    state: 'running' | 'succeeded' | 'failed';
    version: string | null;
    built: number | null;
    error: string | null;
    started_at: string;
    ended_at: string | null;
  };
  deployments: {
    id: Generated<number>;
    kind: 'deploy' | 'rollback';
    service: string;
    environment: string;
    version: string | null;
    state: DeploymentState;
    by: string;
    why: string | null;
    request: string;
    apart: Apart | null;
    digest: string | null;
    settings: string | null;
    failure: string | null;
    exit: number | null;
    started_at: string;
    ended_at: string | null;
  };
  deployment_hosts: {
    deployment: number;
    host: string;
    position: number;
    facts: string;
    report: string | null;
  };
  passed_by: { deployment: number; host: string; reason: PassedBy['reason'] };
  steps: {
    deployment: number;
    step: number;
    phase: number;
    phase_name: string;
    parallel: number;
    host: string;
    kind: string;
    rescue: number;
    args: string;
    says: string;
    state: 'pending' | 'running' | 'done';
    outcome: string | null;
    memo: string | null;
    message: string | null;
    error: string | null;
    started_at: string | null;
    ended_at: string | null;
    ms: number | null;
  };
  interruptions: {
    deployment: number;
    step: number;
    hook: string;
    run: number;
    version: string;
    since: string;
    take: Take | null;
    by: string | null;
    why: string | null;
    at: string | null;
  };
  events: { id: Generated<number>; topic: string; at: string; event: string };
  rollback_points: {
    id: Generated<number>;
    deployment: number;
    service: string;
    environment: string;
    host: string;
    version: string;
    identity: string;
    variables: string;
    at: string;
    left_by: number | null;
  };
  locks: { service: string; environment: string; deployment: number; owner: string; since: string };
  join_tokens: {
    id: string;
    hash: string;
    labels: string;
    host: string | null;
    approve: number;
    uses: number;
    used: number;
    by: string;
    made_at: string;
    expires_at: string;
    revoked_at: string | null;
  };
  identities: {
    key: string;
    public_key: string;
    host: string;
    labels: string;
    token: string;
    state: IdentityState;
    joined_at: string;
    expires_at: string | null;
    ended_at: string | null;
    ended_by: string | null;
  };
  hidden: {
    service: string;
    environment: string;
    host: string;
    deployment: number;
    reason: string;
    since: string;
  };
  tokens: {
    id: string;
    name: string;
    hash: string;
    role: Role;
    services: string | null;
    environments: string | null;
    created: string;
    expires: string | null;
    last_used: string | null;
    revoked: string | null;
    by: string;
  };
  audit: {
    seq: number;
    at: string;
    who: string;
    from: string;
    what: string;
    outcome: AuditOutcome;
    details: string;
    previous: string;
    hash: string;
  };
}
