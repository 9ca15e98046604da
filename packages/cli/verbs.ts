/** Every verb there is. `fleet --help` is printed from this table alone; a verb's own file is loaded when it is used. */
import type { Command } from 'commander';
import type { Cli } from './cli.ts';

export interface Verb {
  /** Arguments, options, help and action. */
  define(command: Command, cli: Cli): void;
}
export interface VerbEntry {
  name: string;
  summary: string;
  /** Absent for the other programs, which bin/fleet.js starts itself. */
  load?: () => Promise<Verb>;
}

export const VERBS: Record<string, VerbEntry[]> = {
  'Set up': [
    { name: 'init', summary: 'write commented configuration to start from, and make a fleet’s keys' },
    {
      name: 'config',
      summary: 'check the configuration, print its JSON Schema',
      load: () => import('./verbs/config.ts'),
    },
    {
      name: 'login',
      summary: 'be known to a controller from here on',
      load: () => import('./verbs/login.ts'),
    },
    { name: 'logout', summary: 'forget the login', load: () => import('./verbs/logout.ts') },
    { name: 'whoami', summary: 'who the controller says you are', load: () => import('./verbs/whoami.ts') },
    { name: 'controller', summary: 'run the controller' },
    { name: 'token', summary: 'let hosts join', load: () => import('./verbs/token.ts') },
    { name: 'agent', summary: 'join a fleet, or run the agent of this host' },
  ],
  Deploy: [
    { name: 'build', summary: 'build a version of a service', load: () => import('./verbs/build.ts') },
    {
      name: 'push',
      summary: 'bring a release that this machine has built and signed',
      load: () => import('./verbs/push.ts'),
    },
    {
      name: 'plan',
      summary: 'show what a deployment would do, and do nothing',
      load: () => import('./verbs/plan.ts'),
    },
    {
      name: 'deploy',
      summary: 'put a version on the hosts of an environment',
      load: () => import('./verbs/deploy.ts'),
    },
    {
      name: 'rollback',
      summary: 'go back to a version that ran before',
      load: () => import('./verbs/rollback.ts'),
    },
    {
      name: 'attach',
      summary: 'watch a deployment that is running',
      load: () => import('./verbs/attach.ts'),
    },
    {
      name: 'pause',
      summary: 'let a deployment wait at the next safe point',
      load: () => import('./verbs/pause.ts'),
    },
    {
      name: 'resume',
      summary: 'let a paused deployment go on',
      load: () => import('./verbs/resume.ts'),
    },
    {
      name: 'abort',
      summary: 'stop a deployment at the next safe point',
      load: () => import('./verbs/abort.ts'),
    },
    {
      name: 'skip',
      summary: 'count an interrupted hook as done, and go on',
      load: () => import('./verbs/skip.ts'),
    },
    {
      name: 'retry',
      summary: 'run an interrupted hook again, or deploy to the hosts that did not succeed',
      load: () => import('./verbs/retry.ts'),
    },
  ],
  Look: [
    { name: 'status', summary: 'what runs where', load: () => import('./verbs/status.ts') },
    { name: 'hosts', summary: 'hosts that have an agent', load: () => import('./verbs/hosts.ts') },
    {
      name: 'doctor',
      summary: 'what is well with a host, and what is not',
      load: () => import('./verbs/doctor.ts'),
    },
    {
      name: 'agents',
      summary: 'which agent every host runs, and bringing them to the newest',
      load: () => import('./verbs/agents.ts'),
    },
    { name: 'releases', summary: 'versions that have been built', load: () => import('./verbs/releases.ts') },
    { name: 'history', summary: 'deployments, newest first', load: () => import('./verbs/history.ts') },
    { name: 'recap', summary: 'the recap of a deployment', load: () => import('./verbs/recap.ts') },
    {
      name: 'rehearsals',
      summary: 'profiles that were tried from nothing, newest first',
      load: () => import('./verbs/rehearsals.ts'),
    },
    {
      name: 'logs',
      summary: 'what a service, or a step of a deployment, printed',
      load: () => import('./verbs/logs.ts'),
    },
  ],
  Trust: [
    {
      name: 'people',
      summary: 'give people and programs tokens, and end them',
      load: () => import('./verbs/people.ts'),
    },
    {
      name: 'audit',
      summary: 'what was done, by whom, when, from where',
      load: () => import('./verbs/audit.ts'),
    },
    { name: 'keys', summary: 'who may sign releases', load: () => import('./verbs/keys.ts') },
    { name: 'sign', summary: 'sign releases anew with another key', load: () => import('./verbs/sign.ts') },
    {
      name: 'floor',
      summary: 'refuse releases that are older than a version',
      load: () => import('./verbs/floor.ts'),
    },
  ],
  Keep: [
    {
      name: 'backup',
      summary: 'copy database and artifacts into a folder, at any time',
      load: () => import('./verbs/backup.ts'),
    },
    { name: 'rehearse', summary: 'try a profile from nothing on a borrowed machine' },
    { name: 'restore', summary: 'bring a backup back, with no controller running' },
  ],
};
