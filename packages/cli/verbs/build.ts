import type { Release } from '@fleet/protocol/api/builds.ts';
import { CODES, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { Command } from 'commander';
import { type Cli, STOPPED_WATCHING } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { follow } from '../follow.ts';
import { formatBytes } from '../print/bytes.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { createNarrator } from '../print/steps.ts';
import { reachController } from '../reach.ts';

type Options = Reporting & { ref?: string; version?: string; signKey?: string; out: string };

export function define(command: Command, cli: Cli): void {
  command
    .argument('<service>')
    .option('--ref <ref>', 'a branch, tag or commit (default: the one in controller.yaml)')
    .option('--version <version>', 'its name (default: the tag, or time and short commit)')
    .option(
      '--sign-key <file>',
      'build the folder that you are in, on this machine, and sign it with this key',
    )
    .option('--out <folder>', 'where that goes, as SERVICE-VERSION.fleet', '.')
    .addOption(reach())
    .addOption(json('print the build as one JSON document; the progress goes to stderr'))
    .action((service: string, options: Options) => build(cli, service, options));
  addExamples(
    command,
    [
      'fleet build segmenter',
      'fleet build segmenter --ref rc/2026-11 --version 1.5.0-rc1',
      'fleet build segmenter --version 1.5.0 --sign-key release.key --out dist',
    ],
    `What has been built from the same source is not built again. Nothing is deployed.

Exit status: 0 the version is there, 1 build command or package test failed, 2 wrong use or configuration,
4 the controller does not answer, 130 stopped watching: the build goes on`,
  );
}

async function build(cli: Cli, service: string, options: Options): Promise<void> {
  const { signKey } = options;
  if (signKey !== undefined) return buildAndSign(cli, service, { ...options, signKey });
  const client = reachController(cli, options);
  const { build: id } = await client.call('builds.start', {
    body: { service, ref: options.ref, version: options.version },
  });
  try {
    await watchBuild(cli, client, id, options);
  } catch (error) {
    if (!cli.stopped.aborted) throw error;
    cli.err.print(
      `stopped watching; the build goes on, and fleet releases ${service} shows what comes of it`,
    );
    cli.exit = STOPPED_WATCHING;
    return;
  }
  const ended = await client.call('builds.show', { params: { id } });
  if (options.json) cli.out.print(encodeJson(ended));
  if (ended.state === 'failed') throw failureOf(ended.error, service);
  if (!options.json && ended.release) printRelease(cli, ended.release);
}

async function buildAndSign(
  cli: Cli,
  service: string,
  { json, ...options }: Options & { signKey: string },
): Promise<void> {
  const channel = json ? cli.err : cli.out;
  const { buildHere } = await import('../buildHere.ts');
  const note = (text: string) => channel.print(oneLine(text));
  const { file, manifest } = await buildHere({ service, ...options, note, signal: cli.stopped });
  const { version, identity, artifact } = manifest;
  if (json) return cli.out.print(encodeJson({ service, version, identity, size: artifact.size, file }));
  cli.out.print(`${service} ${version}: ${formatBytes(artifact.size)}, built here and signed`);
  cli.out.print(`next: fleet push ${file}`);
}

async function watchBuild(cli: Cli, client: Client, id: number, { json }: Options): Promise<void> {
  const channel = json ? cli.err : cli.out;
  const narrator = createNarrator(channel, null);
  const onSilence = () => channel.print('controller not answering, trying again');
  for await (const event of follow(client, `build/${id}`, { signal: cli.stopped, onSilence })) {
    narrator.tell(event);
    if (event.type === 'build.ended') return;
  }
}

function printRelease(cli: Cli, { service, version, size, commit, notes }: Release): void {
  const from = commit ? `, commit ${commit.slice(0, 10)}` : '';
  cli.out.print(`${service} ${version}: ${formatBytes(size)}${from}`);
  for (const note of notes) cli.out.print(`  ${oneLine(note)}`);
  cli.out.print(`next: fleet deploy ${service} --version ${version}`);
}

/** A build keeps the error that ended it as it crossed the wire. */
function failureOf(error: unknown, service: string): FleetError {
  const body = error as Partial<ErrorBody> | null;
  if (typeof body?.code === 'string' && Object.hasOwn(CODES, body.code) && typeof body.message === 'string')
    return fromBody(body as ErrorBody);
  return new FleetError('build_failed', `the build of ${service} failed`);
}
