/**
 * Every error that reaches a person has one of these codes. The table says what the HTTP API answers with and what `fleet`
 * exits with; docs/errors.md is generated from it.
 */
export const CODES = {
  // wrong use or configuration: nothing was started
  bad_request: { http: 400, exit: 2, means: 'the request does not have the form that the API asks for' },
  bad_config: { http: 400, exit: 2, means: 'a configuration file does not validate' },
  unknown_service: { http: 404, exit: 2, means: 'controller.yaml has no such service' },
  unknown_environment: {
    http: 404,
    exit: 2,
    means: 'controller.yaml has no such environment, or the service is not in it',
  },
  unknown_host: {
    http: 404,
    exit: 2,
    means: 'no such host has ever connected, or it is not in this environment',
  },
  unknown_profile: { http: 404, exit: 2, means: 'controller.yaml has no such profile' },
  unknown_version: { http: 404, exit: 2, means: 'no such version has been built' },
  no_programs: {
    http: 404,
    exit: 2,
    means: 'the controller has none of fleet’s own programs to put on hosts',
  },
  unknown_ref: { http: 404, exit: 2, means: 'the service’s repository has no such branch, tag or commit' },
  unknown_deployment: { http: 404, exit: 2, means: 'no such deployment' },
  unknown_check: { http: 404, exit: 2, means: 'the version declares no such check' },
  no_hosts: { http: 409, exit: 2, means: 'no host has the labels that the environment asks for' },
  no_rollback_point: {
    http: 409,
    exit: 2,
    means: 'there is no earlier version that was verified on these hosts',
  },
  version_exists: { http: 409, exit: 2, means: 'this version exists already, with other content' },
  port_in_use: { http: 500, exit: 2, means: 'another program listens on this address' },
  missing_variable: {
    http: 409,
    exit: 2,
    means: 'the version declares a variable that has no value on a host',
  },
  undeclared_variable: {
    http: 409,
    exit: 2,
    means: 'a value is given for a variable that the version does not declare',
  },
  missing_secret: {
    http: 409,
    exit: 2,
    means: 'a secret has no value where controller.yaml says that it comes from',
  },
  secret_refused: {
    http: 409,
    exit: 2,
    means: 'a secret would be readable by others, or is too short to be kept out of what is shown',
  },
  not_loopback: {
    http: 500,
    exit: 2,
    means: 'in development the controller listens on loopback only',
  },
  data_in_use: { http: 500, exit: 2, means: 'another controller uses this data directory' },
  newer_database: { http: 500, exit: 2, means: 'the database was written by a newer program' },
  bad_database: { http: 500, exit: 2, means: 'the controller’s database is damaged or cannot be used' },
  data_exists: { http: 409, exit: 2, means: 'the data directory holds a database already' },
  backup_exists: { http: 409, exit: 2, means: 'there is something already where the backup should go' },
  // who asks, and what is signed
  unauthenticated: { http: 401, exit: 3, means: 'no token, or one that is unknown, expired or revoked' },
  forbidden: { http: 403, exit: 3, means: 'the token’s role or scope does not reach this far' },
  person_exists: { http: 409, exit: 2, means: 'this person or program has a token already' },
  unknown_person: { http: 404, exit: 2, means: 'nobody of this name has a token' },
  not_enrolled: {
    http: 403,
    exit: 3,
    means: 'this host has no certificate of this fleet, or it was revoked',
  },
  not_initialised: { http: 500, exit: 2, means: 'the controller has no keys yet' },
  bad_token: {
    http: 403,
    exit: 3,
    means: 'the join token is unknown, used up or expired, or is not for this host',
  },
  wrong_authority: {
    http: 502,
    exit: 3,
    means: 'who answers is not the controller that the join string names',
  },
  key_too_open: { http: 500, exit: 2, means: 'a file that holds a key may be read by others' },
  clock_off: {
    http: 409,
    exit: 3,
    means: 'the clocks of this machine and of the controller are too far apart',
  },
  not_signed: {
    http: 403,
    exit: 1,
    means: 'a release or document is not signed by a key that the host trusts',
  },
  trust_lowered: {
    http: 403,
    exit: 1,
    means: 'a document says less than what the host holds to: an older one, a lower level or a lower floor',
  },
  below_floor: { http: 403, exit: 1, means: 'the release is older than the oldest one that is still good' },
  policy_refused: { http: 403, exit: 1, means: 'the host’s own agent.yaml does not allow this' },
  too_many: { http: 429, exit: 3, means: 'more requests or messages than one peer may send' },
  // the source does not build
  build_failed: { http: 422, exit: 1, means: 'the build command failed' },
  test_failed: { http: 422, exit: 1, means: 'the package test failed' },
  source_failed: { http: 422, exit: 1, means: 'the source could not be read' },
  // refused, nothing changed
  locked: { http: 409, exit: 3, means: 'another deployment of this service and environment is running' },
  min_visible: { http: 409, exit: 3, means: 'fewer hosts than min_visible would be left in the balancer' },
  host_busy: {
    http: 409,
    exit: 3,
    means: 'fleet itself is being replaced on a host, or would be while something is deployed there',
  },
  not_running: { http: 409, exit: 3, means: 'the deployment has ended already, or is about to' },
  not_waiting: { http: 409, exit: 3, means: 'the deployment does not wait for a decision' },
  not_paused: { http: 409, exit: 3, means: 'the deployment is not paused' },
  not_planned: {
    http: 409,
    exit: 3,
    means: 'the deployment ended before it was planned: it has no hosts to retry',
  },
  stopping: { http: 503, exit: 3, means: 'the controller is shutting down' },
  database_full: {
    http: 507,
    exit: 3,
    means: 'the disk of the controller’s database is full; what it has acknowledged is there',
  },
  database_busy: { http: 503, exit: 3, means: 'another process holds the controller’s database' },
  controller_unreachable: { http: 503, exit: 4, means: 'no controller answers at this address' },
  // a host that is added
  host_key_unknown: { http: 500, exit: 3, means: 'nobody vouches for the key that a host shows over SSH' },
  host_key_changed: {
    http: 500,
    exit: 3,
    means: 'a host shows another key over SSH than the one that is known, or one that is revoked',
  },
  ssh_refused: { http: 500, exit: 1, means: 'a host lets nobody in over SSH with what was shown' },
  ssh_unreachable: { http: 500, exit: 1, means: 'no SSH answers at the address of a host' },
  ssh_lost: { http: 500, exit: 1, means: 'the SSH connection to a host was lost' },
  sudo_refused: { http: 500, exit: 1, means: 'whoever logs in on a host cannot become root there' },
  unfit_host: { http: 500, exit: 1, means: 'a host lacks what fleet needs on it' },
  other_fleet: { http: 500, exit: 1, means: 'a host has joined another fleet, or under another name' },
  act_failed: { http: 500, exit: 1, means: 'something that should be done on a host failed there' },
  // on the way to a host, or on it
  unreachable: { http: 502, exit: 1, means: 'the host’s agent is not connected' },
  link_lost: { http: 502, exit: 1, means: 'the connection to the agent was lost before it answered' },
  timeout: { http: 504, exit: 1, means: 'no answer within the deadline' },
  stale_epoch: { http: 409, exit: 1, means: 'the command comes from a controller that has been replaced' },
  unknown_method: { http: 400, exit: 1, means: 'the peer does not know this message' },
  bad_message: { http: 400, exit: 1, means: 'the peer sent something that does not decode' },
  version_mismatch: { http: 400, exit: 1, means: 'controller and agent have no protocol version in common' },
  name_in_use: { http: 409, exit: 1, means: 'another agent is connected under this host name' },
  disk_full: { http: 507, exit: 1, means: 'the disk has no room for the release or the backup' },
  transfer_failed: { http: 502, exit: 1, means: 'the release did not arrive whole' },
  bad_archive: { http: 422, exit: 1, means: 'the archive is not what its manifest says' },
  no_release: { http: 409, exit: 1, means: 'the release is not on the host' },
  drifted: { http: 409, exit: 1, means: 'files on the host are not what the manifest says' },
  switch_failed: { http: 500, exit: 1, means: 'current could not be switched' },
  hook_failed: { http: 500, exit: 1, means: 'a hook ended with an error or not in time' },
  hook_interrupted: {
    http: 500,
    exit: 1,
    means: 'a hook that must not run twice was interrupted; a person has to decide',
  },
  not_provisioned: {
    http: 409,
    exit: 1,
    means: 'the host lacks a unit, a user, a group or a rule that the service needs',
  },
  start_failed: { http: 500, exit: 1, means: 'the service did not start or did not stay up' },
  not_by_unit: {
    http: 409,
    exit: 1,
    means: 'an agent that was not started by its unit cannot be replaced by fleet',
  },
  stop_failed: { http: 500, exit: 1, means: 'the service did not stop' },
  check_failed: { http: 500, exit: 1, means: 'a check did not pass in its time' },
  balancer_unreachable: { http: 502, exit: 1, means: 'the balancer does not answer' },
  balancer_unknown: { http: 502, exit: 1, means: 'the balancer does not know this backend or server' },
  balancer_refused: { http: 502, exit: 1, means: 'the balancer did not do what it was told' },
  drain_timeout: { http: 504, exit: 1, means: 'sessions were still open when the drain’s time was up' },
  aborted: { http: 409, exit: 1, means: 'somebody aborted the deployment' },
  controller_restored: {
    http: 409,
    exit: 1,
    means: 'the controller was restored from a backup that was made during the deployment',
  },
  install_failed: { http: 500, exit: 1, means: 'the controller could not be put on this machine' },
  borrow_failed: {
    http: 500,
    exit: 1,
    means: 'the command that lends machines for rehearsals failed',
  },
  rehearsal_failed: { http: 500, exit: 1, means: 'a rehearsal found something that does not work' },
  bad_backup: { http: 422, exit: 1, means: 'the folder is no backup, or not as it was written' },
  internal: { http: 500, exit: 1, means: 'a fault in fleet itself' },
} as const satisfies Record<string, { http: number; exit: number; means: string }>;

export type Code = keyof typeof CODES;

export interface ErrorBody {
  code: Code;
  message: string;
  /** What to do next: a sentence or a command to copy. */
  next?: string | undefined;
  /** Facts for programs and for the long form of the message: host, step, command, exit status, end of output. */
  data?: Record<string, unknown> | undefined;
}

export class FleetError extends Error {
  readonly code: Code;
  readonly next: string | undefined;
  readonly data: Record<string, unknown>;
  constructor(
    code: Code,
    message: string,
    more: { next?: string | undefined; data?: Record<string, unknown> | undefined; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'FleetError';
    this.code = code;
    this.next = more.next;
    this.data = more.data ?? {};
  }
  toJSON(): ErrorBody {
    return { code: this.code, message: this.message, next: this.next, data: this.data };
  }
}

/** Anything thrown, as a FleetError. What we did not foresee becomes `internal` and keeps its cause. */
export function asFleetError(error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new FleetError('internal', message, { cause: error });
}

export function fromBody(body: ErrorBody): FleetError {
  return new FleetError(Object.hasOwn(CODES, body.code) ? body.code : 'internal', body.message, {
    next: body.next,
    data: body.data,
  });
}
