/** The kinds of balancer, as controller.yaml writes them. */
import { z } from 'zod';

const haproxy = z.strictObject({
  kind: z.literal('haproxy').describe('HAProxy 2.4 or newer, told by its runtime socket'),
  address: z.string().min(1).describe('The runtime socket: a path, or HOST:PORT'),
  timeout: z.int().min(100).max(60_000).default(5000).describe('Milliseconds for one answer'),
});
const embedded = z.strictObject({
  kind: z.literal('embedded').describe('A small proxy inside the controller, for trying things out'),
  listen: z
    .string()
    .regex(/^127\.0\.0\.1:\d{1,5}$/, 'a loopback address, like 127.0.0.1:8080')
    .describe('Where requests come in'),
});
export const balancerConfig = z.discriminatedUnion('kind', [haproxy, embedded]);
export type BalancerConfig = z.infer<typeof balancerConfig>;
export type BalancerOf<K extends BalancerConfig['kind']> = Extract<BalancerConfig, { kind: K }>;
